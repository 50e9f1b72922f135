import { useTranslation } from 'react-i18next'

import css from './compliance.module.css'
import { asked, outcomes, type Compared } from './model'
import { AttestedTag, OutcomeTag } from './OutcomeTag'
import { api } from '../../api/client'
import { Choice } from '../../parts/Choice'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { listOf, useUrl } from '../../parts/search'
import { SearchBox } from '../../parts/SearchBox'
import { useFormat } from '../../text/format'

// CompareTab shows clauses by cluster, side by side.
export function CompareTab({ framework, target }: { framework: string; target: number[] | undefined }) {
  const { t } = useTranslation('compliance')
  const { number } = useFormat()
  const [search, setSearch] = useUrl()
  const status = listOf(search.status)
  const outcome = asked(status)
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/compliance/{framework}/compare',
    { params: { path: { framework }, query: { target, limit: 50, ...(outcome.length > 0 ? { outcome } : {}), ...(search.q ? { q: search.q } : {}) } } },
    paging,
  )
  const first = query.data?.pages[0]
  const columns: Column<Compared>[] = [
    { key: 'clause', title: t('clause'), width: 130, render: (c) => c.clause },
    { key: 'title', title: t('requirement'), width: 320, render: (c) => <span title={c.title}>{c.title}</span> },
    ...(first?.targets ?? []).map((x) => ({
      key: x.targetId,
      title: x.target,
      width: 190,
      render: (c: Compared) => {
        const cell = c.cells.find((y) => y.targetId === x.targetId)
        if (!cell) return <span className={css.soft}>{t('notJudged')}</span>
        return (
          <span className={css.tags}>
            <OutcomeTag outcome={cell.outcome} count={cell.open > 0 ? number(cell.open) : undefined} />
            {cell.attested && <AttestedTag verdict={cell.attested} />}
          </span>
        )
      },
    })),
  ]
  return (
    <>
      <div className={css.filters}>
        <SearchBox label={t('search')} value={search.q ?? ''} onChange={(q) => setSearch({ q }, true)} />
        <Choice label={t('verdict')} value={status} options={outcomes.map((o) => ({ value: o, label: t(`outcome.${o}`) }))} onChange={(value) => setSearch({ status: value })} width={220} />
        <span className={css.soft}>{t('cellHint')}</span>
      </div>
      {first?.moreTargets && <p className={css.soft}>{t('moreTargets')}</p>}
      <DataTable
        name={`compare.${framework}`}
        label={t('tab.compare')}
        query={query}
        columns={columns}
        rowKey={(c) => c.clause}
        onOpen={(c) => setSearch({ open: c.clause })}
        open={search.open}
        empty={<EmptyState title={first && first.targets.length === 0 ? t('none') : t('noClauses')} hint={first && first.targets.length === 0 ? t('noneHint') : t('noClausesHint')} />}
      />
    </>
  )
}
