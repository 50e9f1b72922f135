import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'

import type { Target } from './links'

// To is a link to a list.
export function To({ target, children, label, className }: { target: Target; children: ReactNode; label?: string; className?: string }) {
  return (
    <Link to={target.to} search={target.search} aria-label={label} className={className}>
      {children}
    </Link>
  )
}
