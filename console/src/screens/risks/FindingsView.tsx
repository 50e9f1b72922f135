import { useCallback, useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { BulkBar } from './BulkBar'
import { keyOf, queryOf, type Filter } from './filter'
import { FindingSlide } from './FindingSlide'
import { useFindingColumns } from './findingColumns'
import { HandleDialog, type Wanted } from './HandleDialog'
import { Nothing } from './Nothing'
import { changedTo, countOf, meant, none, offersAll, shownIds, type Selected } from './selection'
import { api, type Schemas } from '../../api/client'
import { useMay } from '../../app/session'
import { DataTable, paging } from '../../parts/DataTable'
import { useUrl, type Search } from '../../parts/search'

export type Line = Schemas['FindingLine']

// FindingsView is the flat list, with bulk handling and one finding open beside it.
export function FindingsView({ filter, search }: { filter: Filter; search: Search }) {
  const { t } = useTranslation('risks')
  const [, setUrl] = useUrl()
  const may = useMay('handle')
  const sort = search.sort ?? '-priority'
  const query = api.useInfiniteQuery('get', '/api/v1/findings', { params: { query: { ...queryOf(filter), sort, limit: 100 } } }, paging)
  const rows = useMemo(() => (query.data?.pages ?? []).flatMap((p) => p.items), [query.data])
  const ids = useMemo(() => rows.map((r) => r.id), [rows])
  const [selected, select] = useState<Selected>(none)
  const [wanted, want] = useState<Wanted | null>(null)
  const columns = useFindingColumns(filter)
  const first = query.data?.pages[0]
  const open = useCallback((id: string | undefined) => setUrl({ open: id }, search.open !== undefined && id !== undefined), [setUrl, search.open])
  return (
    <>
      <DataTable
        name="findings"
        label={t('views.findings')}
        query={query}
        columns={columns}
        rowKey={(r: Line) => r.id}
        sort={sort}
        onSort={(s) => setUrl({ sort: s })}
        selection={may ? { ids: shownIds(selected, ids), set: (s) => select(changedTo(s)) } : undefined}
        onOpen={(r) => open(r.id)}
        open={search.open}
        onKey={(key, row) => may && key === 'e' && want({ action: 'ignore', of: selected.all || selected.ids.size > 0 ? meant(selected, filter) : { ids: [row.id] } })}
        empty={<Nothing filter={filter} />}
        height="max(420px, calc(100vh - 330px))"
      />
      {may && (
        <BulkBar
          filter={filter}
          count={countOf(selected, first?.total ?? ids.length)}
          atLeast={selected.all && !!first?.totalIsAtLeast}
          total={offersAll(selected, ids, query.hasNextPage) ? first?.total : undefined}
          rows={selected.all ? rows : rows.filter((r) => selected.ids.has(r.id))}
          all={selected.all}
          selectAll={() => select({ all: true })}
          clear={() => select(none)}
          want={(action) => want({ action, of: meant(selected, filter) })}
        />
      )}
      {wanted && <HandleDialog wanted={wanted} close={() => want(null)} done={() => select(none)} />}
      <FindingSlide key={keyOf(filter)} ids={ids} open={search.open} set={open} />
    </>
  )
}
