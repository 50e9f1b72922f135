import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './protection.module.css'
import blocks from '../../parts/Blocks.module.css'
import { CodeView } from '../../parts/CodeView'

export type TreeObject = { part: string; kind: string; namespace?: string; name: string; why?: string; yaml?: string }

// grouped puts objects together by what they are for, and by kind.
export function grouped(list: TreeObject[]): [string, [string, TreeObject[]][]][] {
  const parts = new Map<string, Map<string, TreeObject[]>>()
  for (const o of list) {
    const kinds = parts.get(o.part) ?? new Map<string, TreeObject[]>()
    kinds.set(o.kind, [...(kinds.get(o.kind) ?? []), o])
    parts.set(o.part, kinds)
  }
  return [...parts].map(([part, kinds]) => [part, [...kinds]])
}

const known = ['gatekeeper', 'provider', 'policy'] as const

// ObjectTree lists objects by what they are for and by kind; each opens to its YAML.
export function ObjectTree({ list }: { list: TreeObject[] }) {
  const { t } = useTranslation('protection')
  return (
    <div className={blocks.stack}>
      {grouped(list).map(([part, kinds]) => (
        <details key={part} open>
          <summary className={blocks.summary}>
            {known.some((k) => k === part) ? t(`part.${part as 'policy'}`) : part} ({kinds.reduce((n, [, l]) => n + l.length, 0)})
          </summary>
          <div className={css.tree}>
            {kinds.map(([kind, objects]) => (
              <details key={kind}>
                <summary className={blocks.summary}>
                  {kind} ({objects.length})
                </summary>
                <ul className={`${blocks.list} ${css.tree}`}>
                  {objects.map((o) => (
                    <li key={`${o.namespace}/${o.name}`}>
                      <One object={o} />
                    </li>
                  ))}
                </ul>
              </details>
            ))}
          </div>
        </details>
      ))}
    </div>
  )
}

function One({ object: o }: { object: TreeObject }) {
  const { t } = useTranslation('protection')
  const [open, setOpen] = useState(false)
  const name = [o.namespace, o.name].filter(Boolean).join('/')
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary className={blocks.summary}>{name}</summary>
      {o.why && <p className={blocks.hint}>{o.why}</p>}
      {open && o.yaml === undefined && <p className={blocks.hint}>{t('plan.later')}</p>}
      {open && o.yaml && <CodeView label={t('yamlOf', { name: `${o.kind} ${name}` })} text={o.yaml} height={320} />}
    </details>
  )
}
