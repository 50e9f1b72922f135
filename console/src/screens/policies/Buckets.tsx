import { Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { ActionTag } from './ActionTag'
import css from './policies.module.css'
import { buckets, hitsOf, inWords, type Group, type Hit, type Owner } from './preview'
import blocks from '../../parts/Blocks.module.css'
import { SeverityTag } from '../../parts/Severity'
import { useFormat } from '../../text/format'

const step = 20

export type By = 'namespace' | 'owner' | 'rule'
type Props = { groups: Group[] | null | undefined; by: By }

export const nameOf = (o: Owner) => `${o.kind} ${o.namespace ? `${o.namespace}/` : ''}${o.name}`

// Buckets list what violates, put together by namespace, owner or rule; each opens to what is in it.
export function Buckets({ groups, by }: Props) {
  const { t } = useTranslation('policies')
  const { number } = useFormat()
  const [most, setMost] = useState(step)
  const rows =
    by === 'rule'
      ? (groups ?? []).map((g) => ({
          key: `${g.rule}/${g.action}`,
          head: (
            <>
              <ActionTag action={g.action} /> <SeverityTag severity={g.severity} /> {inWords(g.title)}
            </>
          ),
          count: g.count,
          more: g.more ?? 0,
          hits: hitsOf([g]),
        }))
      : buckets(groups, by).map((b) => ({
          key: b.key,
          head: (
            <>
              <ActionTag action={b.worst} /> {b.owner ? nameOf(b.owner) : b.namespace || t('preview.wholeCluster')} <span className="text-soft">{b.cluster}</span>
            </>
          ),
          count: b.count,
          more: 0,
          hits: b.hits,
        }))
  return (
    <>
      <ul className={css.owners}>
        {rows.slice(0, most).map((r) => (
          <li key={r.key}>
            <details>
              <summary>
                {r.head}
                <span className={css.push}>{number(r.count)}</span>
              </summary>
              <Hits hits={r.hits} by={by} more={r.more} />
            </details>
          </li>
        ))}
      </ul>
      {rows.length > most && (
        <Button size="small" onClick={() => setMost(most + 5 * step)}>
          {t('preview.more', { count: rows.length - most, number: number(rows.length - most) })}
        </Button>
      )}
    </>
  )
}

const listed = 50

function Hits({ hits, by, more }: { hits: Hit[]; by: By; more: number }) {
  const { t } = useTranslation('policies')
  const left = hits.length - Math.min(hits.length, listed) + more
  return (
    <ul className={blocks.list}>
      {hits.slice(0, listed).map((h, i) => (
        <li key={i}>
          {by === 'rule' ? `${h.owner.cluster}: ${nameOf(h.owner)}` : by === 'owner' ? inWords(h.group.title) : `${nameOf(h.owner)}: ${inWords(h.group.title)}`}
          <div className={blocks.hint}>{inWords(h.owner.message)}</div>
        </li>
      ))}
      {left > 0 && <li className="text-soft">{t('scopeWords.more', { count: left })}</li>}
    </ul>
  )
}
