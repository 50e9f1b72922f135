import { Button, InputNumber, Select, Segmented, Skeleton } from 'antd'
import { useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { Buckets, type By } from './Buckets'
import { Changes } from './Changes'
import { csvOf, type Group, type Preview } from './preview'
import { Undecided } from './Undecided'
import { useClusters } from './useClusters'
import css from './policies.module.css'
import { actions } from './shapes'
import { api } from '../../api/client'
import { useMay } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { EmptyState } from '../../parts/EmptyState'
import { save } from '../../parts/file'
import { Page, Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { listOf, useUrl } from '../../parts/search'
import { duration, useFormat } from '../../text/format'

// PreviewPage runs a kept policy over what is there and what was recorded, and compares two versions.
export default function PreviewPage() {
  const { t } = useTranslation('policies')
  const [url, setUrl] = useUrl()
  const may = useMay('manage-policies')
  const clusters = useClusters()
  const policies = api.useQuery('get', '/api/v1/policies')
  const list = policies.data?.items ?? []
  const id = list.find((p) => p.id === url.policy)?.id ?? ''
  const versions = api.useQuery('get', '/api/v1/policies/{id}/versions', { params: { path: { id: Number(id) }, query: { limit: 100 } } }, { enabled: !!id })
  const now = list.find((p) => p.id === id)?.version ?? 1
  const version = Number(url.version) || now
  const base = Number(url.base) || undefined
  const days = Math.min(90, Math.max(0, Number(url.days ?? 7) || 0))
  const kept = api.useQuery('get', '/api/v1/policies/{id}/versions/{version}', { params: { path: { id: Number(id), version } } }, { enabled: !!id, staleTime: Infinity })
  const run = api.useMutation('post', '/api/v1/policies/preview')
  const options = (versions.data?.items ?? []).filter((v) => !v.deleted).map((v) => ({ value: v.version, label: `${t('versionOf', { version: v.version })} · ${v.by}` }))
  const start = () => {
    if (!kept.data) return
    const targets = listOf(url.target).map(Number)
    run.mutate({ body: { policy: { ...kept.data.policy, id }, targets: targets.length > 0 ? targets : undefined, replayDays: days, base: base ? { id, version: base } : undefined, limit: 200 } })
  }
  const set = (c: Parameters<typeof setUrl>[0]) => {
    run.reset()
    setUrl(c, true)
  }
  return (
    <Page title={t('replay.title')} lead={t('replay.lead')}>
      <Panel>
        <div className={blocks.fields} role="search">
          <div className={blocks.field}>
            <label htmlFor="replay-policy">{t('policy')}</label>
            <Select id="replay-policy" value={id || null} loading={policies.isPending} placeholder={t('replay.choose')} options={list.map((p) => ({ value: p.id!, label: p.name }))} showSearch={{ optionFilterProp: 'label' }} onChange={(policy: string) => set({ policy, version: '', base: '' })} />
          </div>
          <div className={blocks.field}>
            <label htmlFor="replay-version">{t('version')}</label>
            <Select id="replay-version" disabled={!id} value={id ? version : null} options={options} onChange={(v: number) => set({ version: v === now ? '' : v })} />
          </div>
          <div className={blocks.field}>
            <label htmlFor="replay-base">{t('replay.compare')}</label>
            <Select id="replay-base" allowClear disabled={!id} value={base ?? null} placeholder={t('replay.noCompare')} options={options.filter((o) => o.value !== version)} onChange={(v?: number) => set({ base: v })} />
          </div>
          <div className={blocks.field}>
            <label htmlFor="replay-clusters">{t('scope.clusters')}</label>
            <Select id="replay-clusters" mode="multiple" allowClear value={listOf(url.target)} placeholder={t('replay.ofPolicy')} options={clusters.list.map((c) => ({ value: c.id, label: c.name }))} showSearch={{ optionFilterProp: 'label' }} onChange={(target: string[]) => set({ target })} />
          </div>
          <div className={blocks.field}>
            <label htmlFor="replay-days">{t('replay.days')}</label>
            <InputNumber id="replay-days" min={0} max={90} precision={0} value={days} onChange={(n) => set({ days: n ?? 0 })} style={{ width: '100%' }} />
          </div>
          <div className={blocks.field} style={{ justifyContent: 'end' }}>
            {may ? (
              <Button type="primary" disabled={!kept.data} loading={run.isPending} onClick={start}>
                {t('replay.run')}
              </Button>
            ) : (
              <span className={blocks.hint}>{t('replay.mayNot')}</span>
            )}
          </div>
        </div>
      </Panel>
      <div aria-live="polite" aria-busy={run.isPending} className={blocks.stack}>
        {kept.error ? <Problem error={kept.error} /> : null}
        {run.error ? <Problem error={run.error} retry={start} title={t('preview.failed')} /> : null}
        {run.isPending ? <Skeleton active paragraph={{ rows: 10 }} /> : run.data ? <Results data={run.data} name={list.find((p) => p.id === id)?.name ?? ''} /> : !run.error && <EmptyState title={policies.data && list.length === 0 ? t('none') : t('replay.nothing')} hint={t('replay.nothingHint')} />}
      </div>
    </Page>
  )
}

function Results({ data, name }: { data: Preview; name: string }) {
  const { t } = useTranslation('policies')
  const { number, dateTime } = useFormat()
  const live = data.live
  const replay = data.replay
  const slow = live?.clusters?.reduce((n, c) => n + c.millis, 0) ?? 0
  return (
    <>
      {data.diff && (
        <Panel title={t('replay.diff')}>
          <Changes diff={data.diff} />
        </Panel>
      )}
      {live && (
        <Found title={t('replay.live')} name={`${name}-live`} groups={live.groups} counts={live.byAction} note={t('replay.looked', { objects: number(live.objects), time: duration(slow) })} problems={(live.clusters ?? []).flatMap((c) => [...(c.error ? [`${c.name}: ${c.error}`] : []), ...(c.partial ?? []).map((p) => `${c.name}: ${p}`)])} cut={live.cut}>
          <Undecided list={live.undecided} />
        </Found>
      )}
      {replay && (
        <Found title={t('replay.recorded')} name={`${name}-replay`} groups={replay.groups} counts={{ audit: replay.audited, warn: replay.warned, block: replay.blocked }} note={t('replay.judged', { count: replay.admissions, number: number(replay.admissions), from: dateTime(replay.from), to: dateTime(replay.to), time: duration(replay.millis) })} problems={[...(replay.partial ?? []), ...(replay.unread ? [t('replay.unread', { count: replay.unread, number: number(replay.unread) })] : [])]} cut={replay.cut}>
          <Undecided list={replay.undecided} />
        </Found>
      )}
    </>
  )
}

type FoundProps = { title: string; name: string; groups: Group[] | null; counts: Record<string, number> | undefined; note: string; problems: string[]; cut?: boolean; children?: ReactNode }

function Found({ title, name, groups, counts, note, problems, cut, children }: FoundProps) {
  const { t } = useTranslation('policies')
  const { number } = useFormat()
  const [by, setBy] = useState<By>('rule')
  const head = (['action', 'severity', 'id', 'rule', 'title', 'cluster', 'namespace', 'kind', 'name', 'image', 'count', 'message'] as const).map((c) => t(`csv.${c}`))
  const none = (groups ?? []).length === 0
  return (
    <Panel
      title={title}
      extra={
        !none && (
          <Button size="small" onClick={() => save(new Blob(['\ufeff', csvOf(groups, head)], { type: 'text/csv' }), `${name}.csv`)}>
            {t('replay.csv')}
          </Button>
        )
      }
    >
      <div className={blocks.stack}>
        <span className={blocks.hint}>{note}</span>
        <div className={css.counts}>
          {actions.map((a) => (
            <div key={a} className={`${css.count} ${css[a]}`}>
              <strong>{number(counts?.[a] ?? 0)}</strong>
              <span>{t(`preview.${a}`)}</span>
            </div>
          ))}
        </div>
        {problems.map((p) => (
          <span key={p} className={blocks.warn}>
            {p}
          </span>
        ))}
        {cut && <span className={blocks.warn}>{t('replay.cut')}</span>}
        {none ? (
          <p className={problems.length > 0 ? blocks.hint : blocks.good}>{t('preview.clean')}</p>
        ) : (
          <>
            <Segmented aria-label={t('preview.by')} value={by} onChange={setBy} options={(['rule', 'namespace', 'owner'] as const).map((b) => ({ value: b, label: t(`preview.byWhat.${b}`) }))} style={{ alignSelf: 'start' }} />
            <Buckets groups={groups} by={by} />
          </>
        )}
        {children}
      </div>
    </Panel>
  )
}
