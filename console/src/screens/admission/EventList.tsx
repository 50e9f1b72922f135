import { Link } from '@tanstack/react-router'
import { Button } from 'antd'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { EventSlide } from './EventSlide'
import { bodyOf, chipsOf, emptied, queryOf, type Filter } from './filter'
import { HandleEvents, type Action, type Meant, type Wanted } from './HandleEvents'
import { useEventColumns, type Line } from './useEventColumns'
import { api, type Schemas } from '../../api/client'
import { useMay } from '../../app/session'
import { DataTable, paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import css from '../../parts/Filter.module.css'
import { useUrl, type Search } from '../../parts/search'
import { useFormat } from '../../text/format'
import { changedTo, countOf, none, offersAll, shownIds, type Selected } from '../risks/selection'

type Sort = 'lastSeen' | '-lastSeen' | 'firstSeen' | '-firstSeen' | 'count' | '-count'
type Props = { filter: Filter; search: Search; summary?: Schemas['AdmissionSummary'] }

// EventList is the list with bulk handling, and one event open beside it.
export function EventList({ filter, search, summary }: Props) {
  const { t } = useTranslation('admission')
  const { number } = useFormat()
  const [, setUrl] = useUrl()
  const may = useMay('handle')
  const sort = (search.sort ?? '-lastSeen') as Sort
  const query = api.useInfiniteQuery('get', '/api/v1/admission-events', { params: { query: { ...queryOf(filter), sort, limit: 100 } } }, paging)
  const rows = useMemo(() => (query.data?.pages ?? []).flatMap((p) => p.items ?? []), [query.data])
  const ids = useMemo(() => rows.map((r) => r.id), [rows])
  const [selected, select] = useState<Selected>(none)
  const [wanted, want] = useState<Wanted | null>(null)
  const columns = useEventColumns()
  const first = query.data?.pages[0]
  const count = countOf(selected, first?.total ?? ids.length)
  const meant: Meant = selected.all ? { filter: bodyOf(filter) } : { ids: [...selected.ids] }
  const act = (action: Action) => want({ action, of: meant })
  const open = (id: string | undefined) => setUrl({ open: id }, search.open !== undefined && id !== undefined)
  const total = offersAll(selected, ids, query.hasNextPage) ? first?.total : undefined
  return (
    <>
      <DataTable
        name="admission-events"
        label={t('events')}
        query={query}
        columns={columns}
        rowKey={(e: Line) => e.id}
        sort={sort}
        onSort={(s) => setUrl({ sort: s })}
        selection={may ? { ids: shownIds(selected, ids), set: (s) => select(changedTo(s)) } : undefined}
        onOpen={(e) => open(e.id)}
        open={search.open}
        onKey={(key, e) => may && key === 'e' && want({ action: 'ignore', of: selected.all || selected.ids.size > 0 ? meant : { ids: [e.id] } })}
        empty={<Nothing filter={filter} summary={summary} />}
        height="max(420px, calc(100vh - 300px))"
      />
      {may && count > 0 && (
        <div className={css.bulk} role="region" aria-label={t('bulk')}>
          <strong role="status">{t('selected', { count, number: number(count) })}</strong>
          {total !== undefined && (
            <Button type="link" size="small" onClick={() => select({ all: true })}>
              {t('selectAll', { number: number(total) })}
            </Button>
          )}
          <Button type="primary" onClick={() => act('handled')}>
            {t('do.handled')}
          </Button>
          {(['ignore', 'reopen', 'allow-image', 'exclude'] as const).map((a) => (
            <Button key={a} onClick={() => act(a)}>
              {t(`do.${a}`)}
            </Button>
          ))}
          <Button type="text" onClick={() => select(none)}>
            {t('unselect')}
          </Button>
        </div>
      )}
      {wanted && <HandleEvents wanted={wanted} close={() => want(null)} done={() => select(none)} />}
      <EventSlide ids={ids} open={search.open} set={open} />
    </>
  )
}

// Nothing tells a list that is empty because nothing happened from one where nobody looks.
function Nothing({ filter, summary }: { filter: Filter; summary?: Schemas['AdmissionSummary'] }) {
  const { t } = useTranslation('admission')
  const [, setUrl] = useUrl()
  const protection = api.useQuery('get', '/api/v1/protection', { params: { query: { limit: 200 } } }, { staleTime: 30_000 })
  const on = (protection.data?.items ?? []).some((c) => ['protected', 'no-policy', 'policy-failed'].includes(c.state))
  if (chipsOf(filter).length > 0) return <EmptyState title={t('noMatch')} action={<Button onClick={() => setUrl(emptied())}>{t('clear')}</Button>} />
  if (protection.data && !on)
    return (
      <EmptyState
        title={t('noProtected')}
        hint={t('noProtectedHint')}
        action={
          <Link to="/protection/clusters">
            <Button type="primary" tabIndex={-1}>
              {t('toClusters')}
            </Button>
          </Link>
        }
      />
    )
  const handled = (summary?.total ?? 0) > 0
  return <EmptyState title={handled ? t('allHandled') : t('noEvents')} hint={handled ? undefined : t('noEventsHint')} action={handled && <Button onClick={() => setUrl({ state: 'all' })}>{t('showAll')}</Button>} />
}
