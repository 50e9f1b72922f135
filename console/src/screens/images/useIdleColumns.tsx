import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import { pinned, shortDigest } from './model'
import type { Schemas } from '../../api/client'
import type { Column } from '../../parts/DataTable'
import { SeverityCounts } from '../../parts/Severity'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'
import { ActionTag } from '../policies/ActionTag'

export type IdleRow = Schemas['Idle']
export type Verdict = Schemas['ImageVerdict']

// useIdleColumns are the columns of images that run nowhere; cluster is whose policies were asked.
export function useIdleColumns(cluster: string | undefined, verdicts: ReadonlyMap<string, Verdict>): Column<IdleRow>[] {
  const { t } = useTranslation('images')
  const { number, bytes, list } = useFormat()
  const says = (row: IdleRow) => {
    const v = verdicts.get(pinned(row))
    if (!v) return <span className={css.soft}>–</span>
    const policies = [...new Set([...(v.failed ?? []), ...(v.open ?? [])].map((f) => f.policy.name))]
    const why = [...(v.failed ?? []).map((f) => f.message), ...(v.open ?? []).map((o) => o.reason)].join('\n')
    return (
      <div className={css.two} title={why || undefined}>
        <span>{v.action ? <ActionTag action={v.action} /> : t('idle.letIn')}</span>
        {policies.length > 0 && <span className={css.soft}>{list(policies)}</span>}
      </div>
    )
  }
  return [
    {
      key: 'image',
      title: t('list.image'),
      width: 270,
      render: (row) => (
        <div className={css.two}>
          <Link to="/images/$digest" params={{ digest: row.digest }} title={row.reference}>
            {row.reference}
          </Link>
          <code className={css.soft}>{shortDigest(row.digest)}</code>
        </div>
      ),
    },
    { key: 'risks', title: t('list.risks'), width: 190, render: (row) => (row.matched ? <SeverityCounts counts={row.counts} /> : <span className={css.soft}>{t('idle.notYet')}</span>) },
    ...(cluster ? [{ key: 'verdict', title: t('idle.policiesIn', { name: cluster }), width: 200, render: says }] : []),
    { key: 'readAt', title: t('readAt'), width: 120, render: (row) => <When at={row.readAt} /> },
    { key: 'os', title: t('list.os'), width: 150, render: (row) => row.os || '–' },
    { key: 'packages', title: t('list.packages'), width: 100, align: 'right', render: (row) => number(row.packages) },
    { key: 'size', title: t('list.size'), width: 100, hidden: true, align: 'right', render: (row) => (row.size ? bytes(row.size) : '–') },
  ]
}
