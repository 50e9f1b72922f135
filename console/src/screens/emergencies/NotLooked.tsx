import { Link } from '@tanstack/react-router'
import { Segmented } from 'antd'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import type { Full } from './shapes'
import { api, type Schemas } from '../../api/client'
import { useSaid } from '../../app/said/said'
import blocks from '../../parts/Blocks.module.css'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { useUrl } from '../../parts/search'
import { codeOf } from '../nodes/shapes'

type Unseen = Schemas['Unseen']

// NotLooked lists what was not looked at for an emergency, with the reason: nobody knows whether it is there.
export default function NotLooked({ emergency: e, target }: { emergency: Full; target: number[] | undefined }) {
  const { t } = useTranslation('emergencies')
  const { t: word } = useTranslation('words')
  const said = useSaid()
  const [url, setUrl] = useUrl()
  const able = (['node', 'image'] as const).filter((k) => e.where.includes(k))
  const kind = able.find((k) => k === url.kind) ?? able[0] ?? 'node'
  const query = api.useInfiniteQuery('get', '/api/v1/emergencies/{emergency}/not-looked', { params: { path: { emergency: e.id }, query: { kind, target, limit: 100 } } }, paging)
  const columns = useMemo<Column<Unseen>[]>(
    () => [
      {
        key: 'name',
        title: t('seenIn'),
        width: 240,
        render: (u) =>
          u.digest ? (
            <Link to="/images/$digest" params={{ digest: u.digest }}>
              {u.name}
            </Link>
          ) : (
            <strong>{u.name}</strong>
          ),
      },
      {
        key: 'cluster',
        title: t('cluster'),
        width: 120,
        render: (u) => (
          <Link to="/clusters/$id" params={{ id: u.targetId }}>
            {u.cluster}
          </Link>
        ),
      },
      { key: 'code', title: t('codeOf'), width: 120, render: (u) => word(`gap.${codeOf(u.code)}`) },
      { key: 'reason', title: t('reason'), width: 520, render: (u) => <span title={u.reason}>{said(u.reason)}</span> },
    ],
    [t, word, said],
  )
  return (
    <div className={blocks.stack}>
      <p className="text-soft">{t('notLookedLead')}</p>
      {able.length > 1 && <Segmented aria-label={t('kindOf')} value={kind} options={able.map((k) => ({ value: k, label: t(`kind.${k}`) }))} onChange={(k) => setUrl({ kind: k })} style={{ alignSelf: 'flex-start' }} />}
      <DataTable
        name="emergency-not-looked"
        label={t('tabs.not-looked')}
        query={query}
        columns={columns}
        rowKey={(u) => `${u.targetId} ${u.kind} ${u.name} ${u.digest ?? ''}`}
        height="calc(100vh - 420px)"
        empty={<EmptyState title={t('allLooked')} hint={t('allLookedHint')} />}
      />
      {kind === 'node' && (
        <p>
          <Link to="/assets/nodes" search={{ state: 'never,away' }}>
            {t('toNodes')}
          </Link>
        </p>
      )}
    </div>
  )
}
