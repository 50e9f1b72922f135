import { CaretDownOutlined, CaretUpOutlined } from '@ant-design/icons'
import { useTranslation } from 'react-i18next'

import type { Column, Selection } from './DataTable'
import css from './DataTable.module.css'

export type Sorting = { sort: string; set: (sort: string) => void }

type Props<T> = { columns: Column<T>[]; sorting?: Sorting; selection?: Selection; keys: string[] }

// Header is the head of a DataTable: sorting by buttons, selecting all that is loaded.
export function Header<T>({ columns, sorting, selection, keys }: Props<T>) {
  const { t } = useTranslation('parts')
  const all = keys.length > 0 && keys.every((k) => selection?.ids.has(k))
  return (
    <thead>
      <tr>
        {selection && (
          <th className={css.check} scope="col">
            <input type="checkbox" checked={all} onChange={() => selection.set(new Set(all ? [] : keys))} aria-label={t('selectPage')} />
          </th>
        )}
        {columns.map((c) => {
          const up = sorting?.sort === c.sort
          const down = sorting?.sort === `-${c.sort}`
          const style = { width: c.width }
          if (!c.sort || !sorting)
            return (
              <th key={c.key} scope="col" style={style} className={c.align === 'right' ? css.right : undefined}>
                {c.title}
              </th>
            )
          const next = up ? `-${c.sort}` : down ? c.sort : c.down ? `-${c.sort}` : c.sort
          return (
            <th key={c.key} scope="col" style={style} aria-sort={up ? 'ascending' : down ? 'descending' : 'none'} className={c.align === 'right' ? css.right : undefined}>
              <button type="button" className={css.sort} onClick={() => sorting.set(next)}>
                {c.title}
                {up && <CaretUpOutlined aria-label={t('sortedUp')} />}
                {down && <CaretDownOutlined aria-label={t('sortedDown')} />}
              </button>
            </th>
          )
        })}
      </tr>
    </thead>
  )
}
