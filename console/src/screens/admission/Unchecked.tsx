import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { App, Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { useUncheckedColumns, type Entry } from './useUncheckedColumns'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { useMay } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { Choice } from '../../parts/Choice'
import { DataTable, paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import filterCss from '../../parts/Filter.module.css'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { listOf, useUrl } from '../../parts/search'
import { useFormat } from '../../text/format'
import { useClusters } from '../policies/useClusters'

export const checked = ['found', 'bad', 'good', 'gone'] as const
export const reasons = ['provider-away', 'not-recorded', 'overflow', 'no-verdict', 'not-enforced', 'static-pod'] as const
type Checked = (typeof checked)[number]
type Reason = (typeof reasons)[number]

const among = <T extends string>(text: string | undefined, known: readonly T[]): T[] => listOf(text).filter((v): v is T => (known as readonly string[]).includes(v))

// Unchecked is what was let in while nobody checked, and what came of it.
export default function Unchecked() {
  const { t } = useTranslation('admission')
  const { number } = useFormat()
  const [url, setUrl] = useUrl()
  const may = useMay('handle')
  const { notification } = App.useApp()
  const client = useQueryClient()
  const clusters = useClusters()
  const [picked, pick] = useState<ReadonlySet<string>>(new Set())
  useLive(['admission'], ['/api/v1/unchecked-admissions'])
  const state: Checked[] = among(url.state, checked)
  const reason: Reason[] = among(url.reason, reasons)
  const target = listOf(url.target).map(Number).filter((n) => n > 0)
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/unchecked-admissions',
    { params: { query: { target: target.length ? target : undefined, state: state.length ? state : undefined, reason: reason.length ? reason : undefined, namespace: url.namespace ? listOf(url.namespace) : undefined, limit: 100 } } },
    paging,
  )
  const judge = api.useMutation('post', '/api/v1/unchecked-admissions/judge', {
    onSuccess: (did) => {
      pick(new Set())
      notification.success({ role: 'status', title: t('judged', { count: did.good + did.bad + did.gone, number: number(did.good + did.bad + did.gone) }), description: [...(did.bad > 0 ? [t('judgedBad', { count: did.bad, number: number(did.bad) })] : []), ...(did.open > 0 ? [t('judgedOpen', { count: did.open, number: number(did.open) })] : [])].join(' ') })
      void client.invalidateQueries({ predicate: (q) => ['/api/v1/unchecked-admissions', '/api/v1/admission-events'].some((p) => String(q.queryKey[1]).startsWith(p)) })
    },
  })
  const columns = useUncheckedColumns()
  const filtered = state.length + reason.length + target.length > 0 || !!url.namespace
  const one = target.length === 1 ? target[0] : undefined
  return (
    <Page
      title={t('unchecked.title')}
      lead={t('unchecked.lead')}
      actions={
        may && one !== undefined && (
          <Button loading={judge.isPending} onClick={() => judge.mutate({ body: { targetId: String(one) } })}>
            {t('unchecked.judgeAll', { name: clusters.name(String(one)) })}
          </Button>
        )
      }
    >
      <div className={blocks.row} role="search">
        <Choice label={t('field.target')} value={target.map(String)} options={clusters.list.map((c) => ({ value: c.id, label: c.name }))} onChange={(v) => setUrl({ target: v })} />
        <Choice label={t('unchecked.verdict')} value={state} options={checked.map((s) => ({ value: s, label: t(`checked.${s}`) }))} onChange={(v) => setUrl({ state: v })} />
        <Choice label={t('unchecked.reason')} value={reason} options={reasons.map((r) => ({ value: r, label: t(`reasonOf.${r}`) }))} onChange={(v) => setUrl({ reason: v })} width={240} />
      </div>
      {judge.error ? <Problem error={judge.error} /> : null}
      <DataTable
        name="unchecked"
        label={t('unchecked.title')}
        query={query}
        columns={columns}
        rowKey={(e: Entry) => e.id}
        selection={may ? { ids: picked, set: pick } : undefined}
        empty={
          filtered ? (
            <EmptyState title={t('unchecked.noMatch')} action={<Button onClick={() => setUrl({ state: '', reason: '', target: '', namespace: '' })}>{t('clear')}</Button>} />
          ) : (
            <EmptyState title={t('unchecked.none')} hint={<p style={{ margin: 0 }}>{t('unchecked.noneHint')} <Link to="/protection/health">{t('toHealth')}</Link></p>} />
          )
        }
      />
      {may && picked.size > 0 && (
        <div className={filterCss.bulk} role="region" aria-label={t('unchecked.bulk')}>
          <strong role="status">{t('unchecked.selected', { count: picked.size, number: number(picked.size) })}</strong>
          <Button type="primary" loading={judge.isPending} onClick={() => judge.mutate({ body: { ids: [...picked].slice(0, 500) } })}>
            {t('unchecked.judge')}
          </Button>
          <Button type="text" onClick={() => pick(new Set())}>
            {t('unselect')}
          </Button>
        </div>
      )}
    </Page>
  )
}
