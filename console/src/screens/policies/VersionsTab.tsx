import { useQueryClient } from '@tanstack/react-query'
import { App, Button, Popconfirm, Radio, Skeleton } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { DiffOf } from './DiffOf'
import css from './policies.module.css'
import type { Kept, Version } from './shapes'
import { api, call } from '../../api/client'
import { useMay } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { paging } from '../../parts/DataTable'
import { Problem } from '../../parts/Problem'
import { said } from '../../parts/said'
import { When } from '../../parts/When'

// VersionsTab lists the versions of a policy, compares two, and brings an old one back as a new one.
export default function VersionsTab({ policy: p }: { policy: Kept }) {
  const { t } = useTranslation('policies')
  const id = Number(p.id)
  const query = api.useInfiniteQuery('get', '/api/v1/policies/{id}/versions', { params: { path: { id }, query: { limit: 50 } } }, paging)
  const list = (query.data?.pages ?? []).flatMap((page) => page.items ?? [])
  const [left, setLeft] = useState<number>()
  const [right, setRight] = useState<number>()
  const now = p.version ?? 1
  const b = right ?? now
  const a = left ?? (b > 1 ? b - 1 : undefined)
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  if (query.isPending) return <Skeleton active paragraph={{ rows: 6 }} />
  return (
    <div className={blocks.two}>
      <div className={blocks.stack}>
        <p className={blocks.hint}>{t('versions.hint')}</p>
        <ul className={css.owners}>
          {list.map((v) => (
            <li key={v.version}>
              <One version={v} policy={p} current={v.version === now} from={a === v.version} to={b === v.version} setFrom={() => setLeft(v.version)} setTo={() => setRight(v.version)} />
            </li>
          ))}
        </ul>
        {query.hasNextPage && (
          <Button loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {t('versions.more')}
          </Button>
        )}
      </div>
      {a !== undefined ? <Compare id={id} a={a} b={b} /> : <p className={blocks.hint}>{t('versions.first')}</p>}
    </div>
  )
}

type OneProps = { version: Version; policy: Kept; current: boolean; from: boolean; to: boolean; setFrom: () => void; setTo: () => void }

function One({ version: v, policy: p, current, from, to, setFrom, setTo }: OneProps) {
  const { t } = useTranslation('policies')
  const { notification } = App.useApp()
  const client = useQueryClient()
  const may = useMay('manage-policies')
  const [error, setError] = useState<unknown>(null)
  const restore = async () => {
    setError(null)
    try {
      const { data } = await call.GET('/api/v1/policies/{id}/versions/{version}', { params: { path: { id: Number(p.id), version: v.version } } })
      await call.PUT('/api/v1/policies/{id}', { params: { path: { id: Number(p.id) } }, body: { ...data!.policy, version: p.version, note: t('versions.restoredNote', { version: v.version }) } })
      await client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/policies') })
      notification.success({ title: t('versions.restored', { version: v.version }), role: 'status' })
    } catch (e) {
      setError(e)
    }
  }
  return (
    <div className={blocks.stack} style={{ gap: 4 }}>
      <div className={blocks.between}>
        <span>
          <strong>{t('versionOf', { version: v.version })}</strong> {current && <span className={blocks.good}>{t('versions.current')}</span>} <When at={v.at} /> · {v.by}
        </span>
        <span className={blocks.row}>
          <Radio checked={from} onChange={setFrom} aria-label={t('versions.fromOf', { version: v.version })}>
            {t('versions.from')}
          </Radio>
          <Radio checked={to} onChange={setTo} aria-label={t('versions.toOf', { version: v.version })}>
            {t('versions.to')}
          </Radio>
          {may && !current && (
            <Popconfirm title={t('versions.ask', { version: v.version })} description={t('versions.askHint')} okText={t('versions.restore')} cancelText={t('cancel')} onConfirm={() => void restore()}>
              <Button size="small">{t('versions.restore')}</Button>
            </Popconfirm>
          )}
        </span>
      </div>
      {v.note && <div>{v.note}</div>}
      <div className={blocks.hint}>
        {(v.changes ?? []).slice(0, 4).map((c) => (
          <div key={c.path} className={blocks.anywhere}>
            <code>{c.path}</code>: {c.before === undefined ? '–' : said(c.before, 60)} → {c.after === undefined ? '–' : said(c.after, 60)}
          </div>
        ))}
        {(v.changes?.length ?? 0) > 4 && t('scopeWords.more', { count: v.changes!.length - 4 })}
      </div>
      {error ? <Problem error={error} /> : null}
    </div>
  )
}

function Compare({ id, a, b }: { id: number; a: number; b: number }) {
  const { t } = useTranslation('policies')
  const get = (version: number) => ({ params: { path: { id, version } } })
  const left = api.useQuery('get', '/api/v1/policies/{id}/versions/{version}', get(a), { staleTime: Infinity })
  const right = api.useQuery('get', '/api/v1/policies/{id}/versions/{version}', get(b), { staleTime: Infinity })
  const error = left.error ?? right.error
  if (error) return <Problem error={error} />
  if (!left.data || !right.data) return <Skeleton active paragraph={{ rows: 8 }} />
  return <DiffOf label={t('versions.compared', { a, b })} before={left.data.policy} after={right.data.policy} />
}
