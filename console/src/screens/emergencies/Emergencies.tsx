import { Link } from '@tanstack/react-router'
import { Button, Tag } from 'antd'
import { lazy, Suspense, useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import type { Line } from './shapes'
import css from './emergencies.module.css'
import { Standing } from './Standing'
import { matches, newest, standing, sumsOf, type Word } from './verdicts'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, searchOf, useScope, type Scope } from '../../app/scope'
import { useMay } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { DataTable, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { useUrl } from '../../parts/search'
import { SeverityTag } from '../../parts/Severity'
import { When } from '../../parts/When'
import { whole } from '../../parts/whole'
import { date, number } from '../../text/format'

const Classes = lazy(() => import('./Classes'))

// Emergencies is the list of emergency vulnerabilities, the newest first, with how it stands with each.
export default function Emergencies() {
  const { t } = useTranslation('emergencies')
  const [url, setUrl] = useUrl()
  const [scope] = useScope()
  const may = useMay('manage-clusters')
  useLive(['task', 'node', 'emergency'], ['/api/v1/emergencies'])
  const query = api.useQuery('get', '/api/v1/emergencies', { params: { query: { target: numbers(scope.target) } } }, { placeholderData: (old) => old })
  const here = url.here === 'true'
  const shown = useMemo(() => {
    const list = (query.data?.items ?? []).filter((e) => (!url.q || matches(e, url.q)) && (!here || ['exposed', 'unknown', 'version-only'].includes(standing(sumsOf(e.counts)))))
    return { ...query, data: query.data && { items: list.sort(newest) } }
  }, [query, url.q, here])
  const columns = useColumns(scope)
  return (
    <Page title={t('title')} lead={t('lead')} actions={may && <Button onClick={() => setUrl({ classes: scope.target.length === 1 ? scope.target[0] : 'choose' })}>{t('classes')}</Button>}>
      <div className={blocks.row} role="search">
        <SearchBox label={t('search')} value={url.q ?? ''} onChange={(q) => setUrl({ q }, true)} />
        <Button type={here ? 'primary' : 'default'} aria-pressed={here} onClick={() => setUrl({ here: !here })}>
          {t('onlyHere')}
        </Button>
      </div>
      <DataTable
        name="emergencies"
        label={t('title')}
        query={whole(shown)}
        columns={columns}
        rowKey={(e) => e.id}
        rowHeight={58}
        empty={url.q || here ? <EmptyState title={t('noneMatch')} hint={here ? t('noneHere') : t('noneMatchHint')} /> : <EmptyState title={t('none')} hint={t('noneHint')} />}
      />
      {url.classes && may && (
        <Suspense>
          <Classes cluster={url.classes === 'choose' ? '' : url.classes} choose={(id) => setUrl({ classes: id }, true)} onClose={() => setUrl({ classes: '' })} />
        </Suspense>
      )}
    </Page>
  )
}

function useColumns(scope: Scope): Column<Line>[] {
  const { t } = useTranslation('emergencies')
  return useMemo(() => {
    const keep = searchOf({ target: scope.target, namespace: [] })
    const count = (key: Word, title: string): Column<Line> => ({
      key,
      title,
      width: 100,
      align: 'right',
      render: (e) => {
        const n = sumsOf(e.counts)[key]
        if (n === 0) return sumsOf(e.counts).looked === 0 ? '–' : '0'
        return (
          <Link to="/emergencies/$id" params={{ id: e.id }} search={{ ...keep, tab: 'results', verdict: key }} aria-label={`${title}: ${number(n)}`}>
            {number(n)}
          </Link>
        )
      },
    })
    return [
      {
        key: 'name',
        title: t('name'),
        width: 310,
        render: (e) => (
          <div className={css.name}>
            <div>
              <Link to="/emergencies/$id" params={{ id: e.id }} search={keep} title={e.name || e.id}>
                <strong>{e.name || e.id}</strong>
              </Link>
              {e.kev && <Tag color="red">{t('kev')}</Tag>}
            </div>
            <div className="text-soft" title={e.title}>
              {e.name && e.name !== e.id && <code>{e.id}</code>} {e.title}
            </div>
          </div>
        ),
      },
      { key: 'standing', title: t('standingOf'), width: 150, render: (e) => <Standing sums={sumsOf(e.counts)} /> },
      { key: 'severity', title: t('severity'), width: 85, render: (e) => <SeverityTag severity={e.severity} /> },
      { key: 'published', title: t('published'), width: 120, hidden: true, render: (e) => (e.published ? date(e.published) : '–') },
      count('exposed', t('verdict.exposed')),
      count('unknown', t('verdict.unknown')),
      count('version-only', t('verdict.version-only')),
      { key: 'looked', title: t('looked'), width: 90, align: 'right', hidden: true, render: (e) => number(sumsOf(e.counts).looked) },
      {
        key: 'notLooked',
        title: t('notLooked'),
        width: 115,
        align: 'right',
        render: (e) => {
          const n = sumsOf(e.counts).notLooked
          return n === 0 ? '0' : (
            <Link to="/emergencies/$id" params={{ id: e.id }} search={{ ...keep, tab: 'not-looked' }} aria-label={`${t('notLooked')}: ${number(n)}`}>
              {number(n)}
            </Link>
          )
        },
      },
      { key: 'last', title: t('lastScan'), width: 120, render: (e) => <When at={e.lastScan?.at} /> },
    ]
  }, [t, scope.target])
}
