import { useTranslation } from 'react-i18next'

import { bodyOf, draftOf } from './draft'
import type { Policy } from './shapes'
import { toYaml } from './yaml'
import blocks from '../../parts/Blocks.module.css'
import { changes } from '../../parts/changes'
import { DiffView } from '../../parts/DiffView'

const near = 3 // unchanged lines that stay around a change

// textOf is what people wrote in a policy, without what the server adds, in one order of fields.
export function textOf(p: Policy): string {
  const body = bodyOf(draftOf(p))
  const order = ['name', 'description', 'disabled', 'action', 'rollout', 'rules', 'checks', 'templates', 'allowedImages', 'scope', 'unanswered', 'engine', 'mutate'] as const
  return toYaml(Object.fromEntries(order.filter((k) => k in body).map((k) => [k, body[k]])))
}

// shortened leaves of unchanged lines those near a change.
export function shortened(diff: string): string {
  const lines = diff.split('\n')
  const keep = new Set<number>()
  lines.forEach((l, i) => {
    if (l.startsWith('+') || l.startsWith('-')) for (let k = i - near; k <= i + near; k++) keep.add(k)
  })
  const out: string[] = []
  lines.forEach((l, i) => {
    if (keep.has(i)) out.push(l)
    else if (keep.has(i - 1) || i === 0) out.push('@@')
  })
  return out.join('\n')
}

// DiffOf shows what differs between two states of a policy.
export function DiffOf({ label, before, after }: { label: string; before: Policy; after: Policy }) {
  const { t } = useTranslation('policies')
  const a = textOf(before)
  const b = textOf(after)
  if (a === b) return <p className={blocks.hint}>{t('noChange')}</p>
  return (
    <section aria-label={label} className={blocks.stack}>
      <strong>{label}</strong>
      <DiffView label={label} diff={shortened(changes(a, b))} />
    </section>
  )
}
