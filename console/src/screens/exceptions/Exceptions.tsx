import { Link, useNavigate } from '@tanstack/react-router'
import { Button, Checkbox } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { AskDialog } from './AskDialog'
import css from './Exceptions.module.css'
import { ScopeText } from './ScopeText'
import { StatusTag } from './StatusTag'
import { countOf, queryOf, soonDays, tabOf, tabs, wide } from './tabs'
import { useTargetName } from './useClusterNames'
import { VexTools } from './VexTools'
import { api, type Schemas } from '../../api/client'
import { useMay } from '../../app/session'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { When } from '../../parts/When'
import { changed, useUrl } from '../../parts/search'
import { useFormat } from '../../text/format'

type Record = Schemas['Record']

export default function Exceptions() {
  const { t } = useTranslation('exceptions')
  const { number } = useFormat()
  const [search, setUrl] = useUrl()
  const navigate = useNavigate()
  const may = useMay('except')
  const [ask, setAsk] = useState(false)
  const tab = tabOf(search)
  const summary = api.useQuery('get', '/api/v1/exceptions/summary')
  const query = api.useInfiniteQuery('get', '/api/v1/exceptions', { params: { query: { ...queryOf(search), limit: 100 } } }, paging)
  const cluster = useTargetName()
  const columns: Column<Record>[] = [
    { key: 'status', title: t('col.status'), width: 130, render: (r) => <StatusTag status={r.status} /> },
    {
      key: 'scope',
      title: t('scope'),
      width: 380,
      render: (r) => (
        <Link to="/exceptions/$id" params={{ id: r.id }}>
          <ScopeText scope={r.scope} cluster={cluster(r.targetId)} />
        </Link>
      ),
    },
    { key: 'reason', title: t('reason'), width: 240, render: (r) => <span title={r.reason}>{r.reason}</span> },
    {
      key: 'findings',
      title: t('col.accepts'),
      width: 110,
      align: 'right',
      render: (r) =>
        r.findings > 0 ? (
          <Link to="/risks" search={{ view: 'findings', exception: r.id, status: 'accepted' }}>
            {number(r.findings)}
          </Link>
        ) : (
          number(0)
        ),
    },
    { key: 'requester', title: t('col.requester'), width: 130, render: (r) => r.requester },
    { key: 'askedAt', title: t('col.asked'), width: 120, sort: 'new', render: (r) => <When at={r.askedAt} /> },
    { key: 'expires', title: t('col.ends'), width: 130, sort: 'end', render: (r) => (r.expiresAt ? <When at={r.expiresAt} /> : r.untilFix ? t('withFix') : t('never')) },
    { key: 'category', title: t('category'), width: 150, hidden: true, render: (r) => t(`categories.${r.category}`) },
    { key: 'approver', title: t('col.approver'), width: 130, hidden: true, render: (r) => r.approver ?? '–' },
  ]
  const narrowed = !!(search.q || search.unused || search.ending || queryOf(search).target)
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        <>
          <VexTools target={queryOf(search).target} />
          {may && (
            <Button type="primary" onClick={() => setAsk(true)}>
              {t('ask')}
            </Button>
          )}
        </>
      }
    >
      <nav aria-label={t('col.status')} className={css.tabs}>
        <ul>
          {tabs.map((x) => (
            <li key={x}>
              <Link to="/exceptions" search={changed(search, { tab: x, ending: undefined, unused: undefined })} aria-current={x === tab ? 'page' : undefined} activeOptions={{ exact: true, includeSearch: true }}>
                {t(`tab.${x}`)} <span className={css.count}>{summary.data ? number(countOf(x, summary.data.status)) : ''}</span>
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      <div className={css.inline}>
        <SearchBox label={t('search')} value={search.q ?? ''} onChange={(q) => setUrl({ q }, true)} />
        <Checkbox checked={search.ending === 'true'} onChange={(e) => setUrl({ ending: e.target.checked, tab: 'approved', sort: e.target.checked ? 'end' : undefined })}>
          {t('endingSoon', { count: soonDays })}
        </Checkbox>
        <Checkbox checked={search.unused === 'true'} onChange={(e) => setUrl({ unused: e.target.checked, tab: 'approved' })}>
          {t('unused')} {summary.data && <span className={css.count}>{number(summary.data.unused)}</span>}
        </Checkbox>
        {(wide(search) || search.namespace) && <span className={css.hint}>{t('oneCluster')}</span>}
      </div>
      <DataTable
        name="exceptions"
        label={t('title')}
        query={query}
        columns={columns}
        rowKey={(r) => r.id}
        sort={search.sort ?? 'new'}
        onSort={(s) => setUrl({ sort: s.replace('-', '') })}
        onOpen={(r) => void navigate({ to: '/exceptions/$id', params: { id: r.id } })}
        empty={
          <EmptyState
            title={narrowed ? t('noMatch') : t(`empty.${tab}`)}
            hint={narrowed ? undefined : t('emptyHint')}
            action={narrowed ? <Button onClick={() => setUrl({ q: undefined, unused: undefined, ending: undefined, target: undefined, namespace: undefined })}>{t('clear')}</Button> : <Link to="/risks">{t('toRisks')}</Link>}
          />
        }
      />
      {ask && <AskDialog close={() => setAsk(false)} />}
    </Page>
  )
}
