import { Skeleton } from 'antd'
import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { Problem } from './Problem'
import { Header, type Sorting } from './TableHeader'
import { TableStatus } from './TableStatus'
import { usePreference } from '../app/preference'
import css from './DataTable.module.css'

export type Column<T> = {
  key: string
  title: string
  width: number // pixels; what is left goes to the columns in proportion
  render: (row: T) => ReactNode // of one row's height: long texts are cut
  sort?: string // name of the order in the API, without a sign
  down?: boolean // the first click sorts descending
  hidden?: boolean // until somebody chooses it
  align?: 'right'
}

// ListPage is a page of any list of the API.
export type ListPage<T> = { items: T[] | null; next?: string; total?: number; totalIsAtLeast?: boolean; searchCut?: boolean }

// ListQuery is what DataTable needs of api.useInfiniteQuery(…, paging).
export type ListQuery<T> = {
  data?: { pages: ListPage<T>[] }
  error: unknown
  isPending: boolean
  isFetching: boolean
  isFetchingNextPage: boolean
  hasNextPage: boolean
  fetchNextPage: () => unknown
  refetch: () => unknown
  dataUpdatedAt: number
}

// paging are the options that read a list of the API page by page.
export const paging = {
  pageParamName: 'after',
  initialPageParam: '' as string | undefined, // the library makes 0 of undefined
  getNextPageParam: (last: { next?: string }) => last.next || undefined,
} as const

export type Selection = { ids: ReadonlySet<string>; set: (ids: ReadonlySet<string>) => void }

type Props<T> = {
  name: string // of the table, for the columns that a user chose
  label: string // for who does not see it
  query: ListQuery<T>
  columns: Column<T>[]
  rowKey: (row: T) => string
  empty: ReactNode
  sort?: string // as the API has it, "-priority"
  onSort?: (sort: string) => void
  selection?: Selection
  onOpen?: (row: T) => void // Enter, or a click on the row
  open?: string // key of the row that is open beside the table
  onKey?: (key: string, row: T) => void // other keys on a row
  rowHeight?: number
  height?: string // of the box, "calc(100vh - 260px)" by default
  tools?: ReactNode // beside the row count
}

const ahead = 10 // rows drawn above and below what is seen

// DataTable shows a list of any length: pages come from the server when they are scrolled to, and only the rows in sight are drawn.
// Arrows or J and K move, Enter opens, X or the space bar selects.
export function DataTable<T>(p: Props<T>) {
  const { t } = useTranslation('parts')
  const height = p.rowHeight ?? 44
  const rows = useMemo(() => (p.query.data?.pages ?? []).flatMap((page) => page.items ?? []), [p.query.data])
  const [chosen, choose] = usePreference<string[] | null>(`columns.${p.name}`, null)
  const columns = p.columns.filter((c) => (chosen ? chosen.includes(c.key) : !c.hidden))
  const box = useRef<HTMLDivElement>(null)
  const [view, setView] = useState({ top: 0, size: 800 })
  const [active, setActive] = useState(0)
  const follow = useRef(false) // the keyboard moved: bring the row into view and focus it

  const first = Math.max(0, Math.floor(view.top / height) - ahead)
  const last = Math.min(rows.length, Math.ceil((view.top + view.size) / height) + ahead)
  const { hasNextPage, isFetchingNextPage, fetchNextPage, error } = p.query
  useEffect(() => {
    if (last >= rows.length - ahead && hasNextPage && !isFetchingNextPage && !error) void fetchNextPage()
  }, [last, rows.length, hasNextPage, isFetchingNextPage, fetchNextPage, error])
  useEffect(() => {
    const element = box.current
    if (!element) return
    const watch = new ResizeObserver(() => setView({ top: element.scrollTop, size: element.clientHeight }))
    watch.observe(element)
    return () => watch.disconnect()
  }, [])
  useEffect(() => {
    if (!follow.current || !box.current) return
    follow.current = false
    const y = active * height
    if (y < box.current.scrollTop) box.current.scrollTop = y
    else if (y + 2 * height > box.current.scrollTop + box.current.clientHeight - height) box.current.scrollTop = y + 2 * height - box.current.clientHeight + height
    box.current.querySelector<HTMLElement>(`tr[data-index="${active}"]`)?.focus({ preventScroll: true })
  })

  const toggle = (row: T) => {
    if (!p.selection) return
    const ids = new Set(p.selection.ids)
    if (!ids.delete(p.rowKey(row))) ids.add(p.rowKey(row))
    p.selection.set(ids)
  }
  const move = (to: number) => {
    follow.current = true
    setActive(Math.max(0, Math.min(rows.length - 1, to)))
  }
  const onKeyDown = (e: KeyboardEvent, index: number, row: T) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target !== e.currentTarget) return
    if (e.key === 'ArrowDown' || e.key === 'j') move(index + 1)
    else if (e.key === 'ArrowUp' || e.key === 'k') move(index - 1)
    else if (e.key === 'Home') move(0)
    else if (e.key === 'End') move(rows.length - 1)
    else if (e.key === 'PageDown') move(index + Math.floor(view.size / height))
    else if (e.key === 'PageUp') move(index - Math.floor(view.size / height))
    else if (e.key === 'Enter') p.onOpen?.(row)
    else if (e.key === 'x' || e.key === ' ') toggle(row)
    else {
      p.onKey?.(e.key, row)
      return
    }
    e.preventDefault()
  }

  const width = columns.reduce((sum, c) => sum + c.width, p.selection ? 44 : 0)
  const shown = p.query.data?.pages[0]
  const sorting: Sorting | undefined = p.onSort && { sort: p.sort ?? '', set: p.onSort }
  const span = columns.length + (p.selection ? 1 : 0)
  return (
    <div className={css.table}>
      <TableStatus query={p.query} page={shown} loaded={rows.length} columns={p.columns} chosen={columns.map((c) => c.key)} choose={choose} tools={p.tools} />
      {error ? <Problem error={error} retry={() => void p.query.refetch()} /> : null}
      <div
        ref={box}
        className={css.box}
        style={{ maxHeight: p.height ?? 'calc(100vh - 260px)' }}
        onScroll={(e) => setView({ top: e.currentTarget.scrollTop, size: e.currentTarget.clientHeight })}
        aria-busy={p.query.isFetching}
        tabIndex={rows.length === 0 ? 0 : undefined} // a box that scrolls must be reachable; rows are by themselves
      >
        <table aria-label={p.label} aria-rowcount={shown?.total ?? rows.length} style={{ minWidth: width }}>
          <Header columns={columns} sorting={sorting} selection={p.selection} keys={rows.map(p.rowKey)} />
          <tbody>
            {p.query.isPending && (
              <tr>
                <td colSpan={span}>
                  <Skeleton active title={false} paragraph={{ rows: 8, width: '100%' }} aria-label={t('loading')} />
                </td>
              </tr>
            )}
            {!p.query.isPending && rows.length === 0 && !error && (
              <tr>
                <td colSpan={span} className={css.empty}>
                  <div className={css.emptyBox}>{p.empty}</div>
                </td>
              </tr>
            )}
            {first > 0 && <tr aria-hidden style={{ height: first * height }} />}
            {rows.slice(first, last).map((row, i) => {
              const index = first + i
              const key = p.rowKey(row)
              const selected = p.selection?.ids.has(key) ?? false
              return (
                <tr
                  key={key}
                  data-index={index}
                  aria-rowindex={index + 2}
                  aria-selected={p.selection ? selected : undefined}
                  className={`${css.row} ${selected || key === p.open ? css.chosen : ''} ${p.onOpen ? css.opens : ''}`}
                  style={{ height }}
                  tabIndex={index === active ? 0 : -1}
                  onFocus={() => setActive(index)}
                  onKeyDown={(e) => onKeyDown(e, index, row)}
                  onClick={(e) => {
                    if (!(e.target as HTMLElement).closest('a,button,input,label') && !getSelection()?.toString()) p.onOpen?.(row)
                  }}
                >
                  {p.selection && (
                    <td className={css.check}>
                      <input type="checkbox" checked={selected} onChange={() => toggle(row)} aria-label={t('selectRow')} />
                    </td>
                  )}
                  {columns.map((c) => (
                    <td key={c.key} className={c.align === 'right' ? css.right : undefined}>
                      <div className={css.cell}>{c.render(row)}</div>
                    </td>
                  ))}
                </tr>
              )
            })}
            {last < rows.length && <tr aria-hidden style={{ height: (rows.length - last) * height }} />}
          </tbody>
        </table>
        {isFetchingNextPage && <div className={css.more}>{t('loadingMore')}</div>}
      </div>
    </div>
  )
}
