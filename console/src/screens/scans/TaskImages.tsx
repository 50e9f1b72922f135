import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { took, type Item, type Task } from './progress'
import { State } from './State'
import css from './scans.module.css'
import { api } from '../../api/client'
import { Choice } from '../../parts/Choice'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { listOf, useUrl } from '../../parts/search'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

const statuses = ['ready', 'running', 'done', 'failed', 'canceled'] as const

// TaskImages lists the images that were read for a task, with the time each took and why it failed.
export function TaskImages({ task }: { task: Task }) {
  const { t } = useTranslation(['scans', 'words'])
  const { duration } = useFormat()
  const [search, set] = useUrl()
  const status = listOf(search.imageStatus) as Item['status'][]
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/tasks/{id}/items',
    { params: { path: { id: Number(task.id) }, query: { kind: 'image', limit: 100, status: status.length > 0 ? status : undefined } } },
    paging,
  )
  const columns: Column<Item>[] = [
    {
      key: 'image',
      title: t('image'),
      width: 380,
      render: (item) =>
        item.digest ? (
          <Link to="/images/$digest" params={{ digest: item.digest }}>
            {item.name}
          </Link>
        ) : (
          item.name
        ),
    },
    { key: 'status', title: t('status'), width: 130, render: (item) => <State status={item.status} /> },
    {
      key: 'took',
      title: t('took'),
      width: 100,
      render: (item) => {
        const ms = item.finishedAt ? took(item, 0) : undefined
        return ms === undefined ? '–' : duration(ms)
      },
    },
    { key: 'at', title: t('ended'), width: 120, render: (item) => (item.finishedAt ? <When at={item.finishedAt} /> : '–') },
    {
      key: 'cause',
      title: t('cause'),
      width: 420,
      render: (item) =>
        item.error ? (
          <span className={css.bad} title={item.error}>
            {item.code && <strong>{t(`words:gap.${item.code as 'broken'}`, { defaultValue: item.code })}: </strong>}
            {item.error}
          </span>
        ) : item.notBefore ? (
          <span className={css.soft}>
            {t('waitsUntil')} <When at={item.notBefore} />
          </span>
        ) : null,
    },
  ]
  return (
    <div className={css.stack}>
      <p className={css.soft}>{t('imagesWhy')}</p>
      <div className={css.filters}>
        <Choice label={t('status')} value={status} options={statuses.map((s) => ({ value: s, label: t(`words:taskStatus.${s}`) }))} onChange={(v) => set({ imageStatus: v })} />
      </div>
      <DataTable
        name="task-images"
        label={t('images')}
        query={query}
        columns={columns}
        rowKey={(item) => item.id}
        empty={<EmptyState title={status.length > 0 ? t('noneSuch') : t('noImages')} hint={status.length > 0 ? t('noneSuchHint') : t('noImagesHint')} />}
      />
    </div>
  )
}
