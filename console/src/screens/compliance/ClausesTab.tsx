import { Skeleton } from 'antd'
import { useEffect } from 'react'
import { useTranslation } from 'react-i18next'

import { ClauseRows } from './ClauseRows'
import { asked, bySection, outcomes } from './model'
import css from './compliance.module.css'
import { api } from '../../api/client'
import { Choice } from '../../parts/Choice'
import { paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Problem } from '../../parts/Problem'
import { listOf, useUrl } from '../../parts/search'
import { SearchBox } from '../../parts/SearchBox'
import { useFormat } from '../../text/format'

// ClausesTab lists the clauses by section. A framework has some hundred at most: its pages are read one after the other.
export function ClausesTab({ framework, target }: { framework: string; target: number[] | undefined }) {
  const { t } = useTranslation('compliance')
  const { number } = useFormat()
  const [search, setSearch] = useUrl()
  const status = listOf(search.status)
  const outcome = asked(status)
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/compliance/{framework}/compare',
    { params: { path: { framework }, query: { target, limit: 100, cells: 'false' as const, ...(outcome.length > 0 ? { outcome } : {}), ...(search.q ? { q: search.q } : {}) } } },
    paging,
  )
  const { hasNextPage, isFetchingNextPage, fetchNextPage, error } = query
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && !error) void fetchNextPage()
  }, [hasNextPage, isFetchingNextPage, fetchNextPage, error])
  const items = query.data?.pages.flatMap((p) => p.items) ?? []
  const total = query.data?.pages[0]?.total ?? 0
  return (
    <>
      <div className={css.filters}>
        <SearchBox label={t('search')} value={search.q ?? ''} onChange={(q) => setSearch({ q }, true)} />
        <Choice label={t('verdict')} value={status} options={outcomes.map((o) => ({ value: o, label: t(`outcome.${o}`) }))} onChange={(value) => setSearch({ status: value })} width={220} />
        <span role="status" className={css.soft}>
          {query.data && t('clauses', { count: total, number: number(total) })}
        </span>
      </div>
      {query.data?.pages[0]?.moreTargets && <p className={css.soft}>{t('moreTargets')}</p>}
      {error && <Problem error={error} retry={() => void query.refetch()} />}
      {query.isPending && <Skeleton active paragraph={{ rows: 12 }} />}
      {query.data && total === 0 && <EmptyState title={search.q || outcome.length > 0 ? t('noClauses') : t('none')} hint={search.q || outcome.length > 0 ? t('noClausesHint') : t('noneHint')} />}
      {bySection(items).map((s, i) => (
        <section key={`${s.section} ${i}`} className={css.section} aria-label={s.section}>
          <h2>{s.section}</h2>
          <ClauseRows framework={framework} section={s.section} items={s.items} open={search.open} onOpen={(clause) => setSearch({ open: clause })} target={search.target} />
        </section>
      ))}
    </>
  )
}
