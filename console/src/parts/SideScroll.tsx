import type { ReactNode } from 'react'

// SideScroll lets wide contents scroll inside of their box, by the keyboard too.
export function SideScroll({ label, width, children }: { label: string; width: number; children: ReactNode }) {
  return (
    <div role="region" aria-label={label} tabIndex={0} style={{ overflowX: 'auto' }}>
      <div style={{ minWidth: width }}>{children}</div>
    </div>
  )
}
