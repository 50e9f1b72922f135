import { ReloadOutlined, SettingOutlined } from '@ant-design/icons'
import { Button, Checkbox, Popover } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import type { Column, ListPage, ListQuery } from './DataTable'
import css from './DataTable.module.css'
import { When } from './When'
import { useFormat } from '../text/format'

type Props<T> = {
  query: ListQuery<T>
  page?: ListPage<T>
  loaded: number
  columns: Column<T>[]
  chosen: string[]
  choose: (keys: string[] | null) => void
  tools?: ReactNode
}

// TableStatus stands above a table: how many rows, how old, refresh, columns.
export function TableStatus<T>({ query, page, loaded, columns, chosen, choose, tools }: Props<T>) {
  const { t } = useTranslation('parts')
  const { number } = useFormat()
  const total = page?.total ?? (query.hasNextPage ? undefined : loaded)
  return (
    <div className={css.status}>
      <span role="status">
        {page && (page.totalIsAtLeast || total === undefined ? t('rowsAtLeast', { number: number(total ?? loaded) }) : t('rows', { count: total, number: number(total) }))}
        {page?.searchCut && <span className={css.cut}> {t('searchCut')}</span>}
      </span>
      <span className={css.tools}>
        {tools}
        {query.dataUpdatedAt > 0 && (
          <span className={css.age}>
            {t('updated')} <When at={new Date(query.dataUpdatedAt).toISOString()} />
          </span>
        )}
        <Button size="small" type="text" icon={<ReloadOutlined spin={query.isFetching} />} aria-label={t('refresh')} onClick={() => void query.refetch()} />
        <Popover
          trigger="click"
          placement="bottomRight"
          content={
            <div className={css.chooser}>
              <Checkbox.Group value={chosen} onChange={(keys) => keys.length > 0 && choose(columns.map((c) => c.key).filter((k) => keys.includes(k)))}>
                {columns.map((c) => (
                  <Checkbox key={c.key} value={c.key}>
                    {c.title}
                  </Checkbox>
                ))}
              </Checkbox.Group>
              <Button size="small" onClick={() => choose(null)}>
                {t('columnsDefault')}
              </Button>
            </div>
          }
        >
          <Button size="small" type="text" icon={<SettingOutlined />} aria-label={t('columns')} />
        </Popover>
      </span>
    </div>
  )
}
