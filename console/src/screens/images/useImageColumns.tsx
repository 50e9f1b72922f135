import { Link } from '@tanstack/react-router'
import { Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import { imageKey, shortDigest, type ImageRow } from './model'
import { Scanned } from './Scanned'
import type { Column } from '../../parts/DataTable'
import type { Search } from '../../parts/search'
import { SeverityCounts } from '../../parts/Severity'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// useImageColumns are the columns of the list of images.
export function useImageColumns(search: Search): Column<ImageRow>[] {
  const { t } = useTranslation('images')
  const { number, bytes } = useFormat()
  const to = (row: ImageRow, more: Search = {}) => ({
    to: '/images/$digest' as const,
    params: { digest: imageKey(row) },
    search: { target: search.target, namespace: search.namespace, cluster: row.targetId, ...more },
  })
  return [
    {
      key: 'image',
      title: t('list.image'),
      width: 280,
      sort: 'name',
      render: (row) => (
        <div className={css.two}>
          <Link {...to(row)} title={row.name}>
            {row.name}
          </Link>
          <span className={css.soft}>{row.digest ? <code>{shortDigest(row.digest)}</code> : '–'}</span>
        </div>
      ),
    },
    {
      key: 'risks',
      title: t('list.risks'),
      width: 190,
      sort: 'score',
      render: (row) =>
        row.read || row.critical + row.high + row.medium + row.low + row.info > 0 ? (
          <SeverityCounts counts={{ critical: row.critical, high: row.high, medium: row.medium, low: row.low, info: row.info }} link={(s) => ({ to: '/risks', search: { view: 'findings', asset: row.id, severity: s } })} />
        ) : (
          <span className={css.soft}>{t('unknown')}</span>
        ),
    },
    { key: 'state', title: t('list.state'), width: 130, render: (row) => <Scanned row={row} /> },
    {
      key: 'where',
      title: t('list.where'),
      width: 110,
      sort: 'cluster',
      render: (row) => (
        <div className={css.two}>
          <Link to="/clusters/$id" params={{ id: row.targetId }}>
            {row.target}
          </Link>
          <Link {...to(row, { tab: 'uses' })}>{t('list.workloads', { count: row.workloads, number: number(row.workloads) })}</Link>
        </div>
      ),
    },
    {
      key: 'base',
      title: t('list.base'),
      width: 130,
      render: (row) => (row.base ? <span title={row.base}>{row.base}</span> : <span className={css.soft}>{t('unknown')}</span>),
    },
    { key: 'age', title: t('list.age'), width: 100, render: (row) => (row.created ? <When at={row.created} /> : <span className={css.soft}>{t('unknown')}</span>) },
    { key: 'readAt', title: t('readAt'), width: 120, hidden: true, render: (row) => (row.readAt ? <When at={row.readAt} /> : '–') },
    { key: 'os', title: t('list.os'), width: 150, hidden: true, render: (row) => row.os ?? '–' },
    {
      key: 'packages',
      title: t('list.packages'),
      width: 80,
      align: 'right',
      render: (row) => (row.read ? <Link {...to(row, { tab: 'packages' })}>{number(row.packages ?? 0)}</Link> : <Tooltip title={t('notScanned')}>–</Tooltip>),
    },
    { key: 'size', title: t('list.size'), width: 100, hidden: true, align: 'right', render: (row) => (row.size ? bytes(row.size) : '–') },
  ]
}
