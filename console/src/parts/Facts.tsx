import type { ReactNode } from 'react'

import css from './Blocks.module.css'

export type Fact = [string, ReactNode] | false | undefined | ''

// Facts are names with what is known of each; what is not known is left out.
export function Facts({ items }: { items: Fact[] }) {
  return (
    <dl className={css.facts}>
      {items
        .filter((x) => !!x)
        .map(([name, value]) => [<dt key={`${name}-t`}>{name}</dt>, <dd key={`${name}-d`}>{value}</dd>])}
    </dl>
  )
}
