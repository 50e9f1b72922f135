import { Link, useNavigate } from '@tanstack/react-router'
import { Button, Skeleton } from 'antd'
import { lazy, Suspense } from 'react'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import { imageKey, type ImageRow } from './model'
import { Pick } from './Pick'
import { useImageColumns } from './useImageColumns'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, useScope } from '../../app/scope'
import { Choice } from '../../parts/Choice'
import { DataTable, paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { listOf, useUrl } from '../../parts/search'
import { SearchBox } from '../../parts/SearchBox'
import { severities, type SeverityWord } from '../../parts/Severity'
import { TabBar } from '../../parts/TabBar'

type Sort = 'score' | 'name' | 'cluster' | '-score' | '-name' | '-cluster'

const Idle = lazy(() => import('./Idle'))

// Images lists the images that run, and those that were scanned and run nowhere.
export default function Images() {
  const { t } = useTranslation('images')
  const [search, set] = useUrl()
  const idle = search.view === 'idle'
  return (
    <Page title={t('title')} lead={idle ? t('idle.lead') : t('lead')}>
      <TabBar
        label={t('title')}
        active={idle ? 'idle' : 'running'}
        onChange={(key) => set({ view: key === 'idle' ? key : '' })}
        tabs={[
          { key: 'running', label: t('list.running'), children: <Running /> },
          {
            key: 'idle',
            label: t('idle.title'),
            children: (
              <Suspense fallback={<Skeleton active paragraph={{ rows: 10 }} />}>
                <Idle />
              </Suspense>
            ),
          },
        ]}
      />
    </Page>
  )
}

// Running lists the images that run, with their risks.
function Running() {
  const { t } = useTranslation(['images', 'words'])
  const [search, set] = useUrl()
  const [scope] = useScope()
  const navigate = useNavigate()
  const severity = listOf(search.severity) as SeverityWord[]
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/images',
    {
      params: {
        query: {
          limit: 100,
          target: numbers(scope.target),
          namespace: scope.namespace.length > 0 ? scope.namespace : undefined,
          severity: severity.length > 0 ? severity : undefined,
          fixable: search.fixable as 'true' | undefined,
          read: search.read as 'true' | undefined,
          q: search.q,
          sort: (search.sort as Sort | undefined) ?? 'score',
        },
      },
    },
    paging,
  )
  useLive(['task'], ['/api/v1/images'])
  const open = (row: ImageRow) => void navigate({ to: '/images/$digest', params: { digest: imageKey(row) }, search: { ...scopeSearch(search), cluster: row.targetId } })
  const narrowed = [search.q, search.severity, search.fixable, search.read, search.target, search.namespace].some(Boolean)
  const clear = () => set({ q: '', severity: '', fixable: '', read: '', target: '', namespace: '' })
  return (
    <>
      <div className={css.filters}>
        <SearchBox label={t('list.q')} value={search.q ?? ''} onChange={(q) => set({ q }, true)} />
        <Choice label={t('list.severity')} value={severity} options={severities.map((s) => ({ value: s, label: t(`words:severity.${s}`) }))} onChange={(v) => set({ severity: v })} />
        <Pick
          label={t('list.fixable')}
          value={search.fixable}
          options={[
            { value: 'true', label: t('list.fixableYes') },
            { value: 'false', label: t('list.fixableNo') },
          ]}
          onChange={(v) => set({ fixable: v })}
        />
        <Pick
          label={t('list.read')}
          value={search.read}
          options={[
            { value: 'true', label: t('list.readYes') },
            { value: 'false', label: t('list.readNo') },
          ]}
          onChange={(v) => set({ read: v })}
        />
      </div>
      <DataTable
        name="images"
        label={t('list.label')}
        query={query}
        columns={useImageColumns(search)}
        rowKey={(row) => row.id}
        rowHeight={56}
        sort={search.sort ?? 'score'}
        onSort={(sort) => set({ sort })}
        onOpen={open}
        empty={
          narrowed ? (
            <EmptyState title={t('list.none')} action={<Button onClick={clear}>{t('list.noneAction')}</Button>} />
          ) : (
            <EmptyState title={t('list.empty')} hint={t('list.emptyHint')} action={<Link to="/scans">{t('list.emptyAction')}</Link>} />
          )
        }
      />
    </>
  )
}

function scopeSearch(search: Record<string, string | undefined>) {
  return { target: search.target, namespace: search.namespace }
}
