import { Link } from '@tanstack/react-router'
import { Select } from 'antd'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import { ResultDetail } from './ResultDetail'
import { kinds, type Full, type Kind, type Result } from './shapes'
import { VerdictTag } from './Standing'
import { verdicts } from './verdicts'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { SearchBox } from '../../parts/SearchBox'
import { SlideOver } from '../../parts/SlideOver'
import { useUrl } from '../../parts/search'
import { When } from '../../parts/When'

// nameOf is what people call what a result is of.
export function nameOf(r: Result): string {
  if (r.workload) return `${r.workload.namespace}/${r.workload.kind}/${r.workload.name}`
  return r.image || r.name || r.cluster
}

const keyOf = (r: Result) => [r.targetId, r.kind, r.name, r.workload ? nameOf(r) : ''].join(' ')

// Results lists where an emergency was seen, the worst first; a row opens the evidence of each check.
export default function Results({ emergency: e, target }: { emergency: Full; target: number[] | undefined }) {
  const { t } = useTranslation('emergencies')
  const [url, setUrl] = useUrl()
  const kind = kinds.find((k) => k === url.kind)
  const verdict = verdicts.find((v) => v === url.verdict)
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/emergencies/{emergency}/results',
    { params: { path: { emergency: e.id }, query: { target, kind, verdict: verdict ? [verdict] : undefined, q: url.q || undefined, limit: 100 } } },
    paging,
  )
  const columns = useMemo<Column<Result>[]>(
    () => [
      { key: 'name', title: t('seenIn'), width: 300, render: (r) => <strong title={r.name}>{nameOf(r)}</strong> },
      { key: 'verdict', title: t('verdictOf'), width: 190, render: (r) => <VerdictTag verdict={r.verdict} /> },
      { key: 'kind', title: t('kindOf'), width: 110, render: (r) => t(`kindOne.${r.kind}`) },
      {
        key: 'cluster',
        title: t('cluster'),
        width: 130,
        render: (r) => (
          <Link to="/clusters/$id" params={{ id: r.targetId }}>
            {r.cluster}
          </Link>
        ),
      },
      { key: 'component', title: t('component'), width: 160, render: (r) => r.component || '–' },
      { key: 'version', title: t('version'), width: 130, render: (r) => r.version || '–' },
      { key: 'path', title: t('path'), width: 240, render: (r) => (r.path ? <code title={r.container}>{r.path}</code> : '–') },
      { key: 'since', title: t('since'), width: 120, render: (r) => <When at={r.since} /> },
      { key: 'at', title: t('lookedAt'), width: 120, hidden: true, render: (r) => <When at={r.at} /> },
    ],
    [t],
  )
  const rows = (query.data?.pages ?? []).flatMap((p) => p.items ?? [])
  const open = rows.find((r) => keyOf(r) === url.open)
  const filtered = Boolean(url.q || kind || verdict)
  return (
    <div className={blocks.stack}>
      <div className={blocks.row} role="search">
        <SearchBox label={t('searchResults')} value={url.q ?? ''} onChange={(q) => setUrl({ q }, true)} />
        <Select
          allowClear
          aria-label={t('kindOf')}
          placeholder={t('anyKind')}
          value={kind ?? null}
          options={kinds.filter((k) => k === 'workload' ? e.where.includes('image') : e.where.includes(k)).map((k) => ({ value: k, label: t(`kind.${k}`) }))}
          onChange={(k: Kind | null) => setUrl({ kind: k })}
          style={{ width: 170 }}
        />
        <Select
          allowClear
          aria-label={t('verdictOf')}
          placeholder={t('anyVerdict')}
          value={verdict ?? null}
          options={verdicts.filter((v) => kind !== 'workload' || v !== 'not-present').map((v) => ({ value: v, label: t(`verdict.${v}`) }))}
          onChange={(v: string | null) => setUrl({ verdict: v })}
          style={{ width: 200 }}
        />
      </div>
      <DataTable
        name="emergency-results"
        label={t('tabs.results')}
        query={query}
        columns={columns}
        rowKey={keyOf}
        onOpen={(r) => setUrl({ open: keyOf(r) })}
        open={url.open}
        height="calc(100vh - 380px)"
        empty={filtered ? <EmptyState title={t('noneMatch')} hint={t('noneMatchHint')} /> : <EmptyState title={t('seenNowhere')} hint={t('seenNowhereHint')} />}
      />
      <SlideOver open={Boolean(open)} onClose={() => setUrl({ open: '' })} title={open ? nameOf(open) : ''}>
        {open && <ResultDetail result={open} emergency={e} />}
      </SlideOver>
    </div>
  )
}
