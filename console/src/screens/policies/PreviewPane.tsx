import { LoadingOutlined } from '@ant-design/icons'
import { Alert, Segmented } from 'antd'
import { useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { ActionTag } from './ActionTag'
import { Buckets, type By } from './Buckets'
import css from './policies.module.css'
import { asKubectl, named, sampleOf, type Live, type Preview } from './preview'
import { actions } from './shapes'
import { Undecided } from './Undecided'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'
import { useFormat } from '../../text/format'

type Props = { ready: boolean; data?: Preview; pending: boolean; error: unknown; retry: () => void; narrow?: boolean; saved?: boolean; name?: string }

// PreviewPane stays in view while a policy is written: what it would find now among what runs.
export function PreviewPane({ ready, data, pending, error, retry, narrow, saved, name }: Props) {
  const { t } = useTranslation('policies')
  const { number } = useFormat()
  const live = ready ? data?.live : undefined
  const head = (
    <>
      <h2>{t('preview.title')}</h2>
      <span role="status" aria-live="polite" className={blocks.hint}>
        {!ready ? t('preview.nothing') : pending ? <><LoadingOutlined aria-hidden /> {t('preview.working')}</> : live ? <Looked live={live} /> : ''}
      </span>
    </>
  )
  const counts = (
    <div className={css.counts}>
      {actions.map((a) => (
        <div key={a} className={`${css.count} ${css[a]}`}>
          <strong>{live ? number(live.byAction?.[a] ?? 0) : '–'}</strong>
          <span>{t(`preview.${a}`)}</span>
        </div>
      ))}
    </div>
  )
  const rest = live && <Details live={live} data={data!} saved={saved} name={name} />
  return (
    <aside className={css.pane} aria-label={t('preview.title')} aria-busy={pending} tabIndex={0}>
      {narrow ? (
        <details>
          <summary className={blocks.summary}>
            <strong>{t('preview.title')}</strong> {live ? t('preview.short', { objects: number(live.violating), block: number(live.byAction?.block ?? 0) }) : ready ? t('preview.working') : t('preview.nothing')}
          </summary>
          <div className={blocks.stack}>
            {counts}
            {rest}
          </div>
        </details>
      ) : (
        <div className={blocks.stack}>
          {head}
          {counts}
          {rest}
        </div>
      )}
      {ready && error ? <Problem error={error} retry={retry} title={t('preview.failed')} /> : null}
    </aside>
  )
}

// Looked says over how much the preview looked, and whether that was all.
function Looked({ live }: { live: Live }) {
  const { t } = useTranslation('policies')
  const { number, list } = useFormat()
  const clusters = live.clusters ?? []
  const partial = clusters.filter((c) => c.error || (c.partial?.length ?? 0) > 0)
  return (
    <>
      {t('preview.looked', { count: clusters.length, objects: number(live.objects), clusters: number(clusters.length) })}
      {partial.length > 0 && <span className={blocks.warn}> {t('preview.partial', { names: list(partial.map((c) => c.name)) })}</span>}
    </>
  )
}

function Details({ live, data, saved, name }: { live: Live; data: Preview; saved?: boolean; name?: string }) {
  const { t } = useTranslation('policies')
  const { number } = useFormat()
  const [by, setBy] = useState<By>('namespace')
  const sample = sampleOf(live.groups)
  const part = (title: string, content: ReactNode) => (
    <section aria-label={title} className={blocks.stack}>
      <h3>{title}</h3>
      {content}
    </section>
  )
  if (live.violating === 0 && (live.undecided ?? []).length === 0)
    return <Alert type={live.clusters?.length ? 'success' : 'warning'} showIcon title={live.clusters?.length ? t('preview.clean') : t('preview.noCluster')} description={live.clusters?.length ? undefined : t('preview.noClusterHint')} />
  return (
    <>
      {saved && data.diff && (
        <p className={blocks.anywhere}>
          {t('preview.diff', { added: number(data.diff.added?.length ?? 0), removed: number(data.diff.removed?.length ?? 0) })}
        </p>
      )}
      {sample && part(t(`preview.sample.${sample.group.action}`), (
        <>
          <ActionTag action={sample.group.action} />
          <pre className={css.said}>{asKubectl(sample.group.action, named(sample.owner.refusal ?? '', name), sample.owner)}</pre>
        </>
      ))}
      {live.excepted > 0 && <p className={blocks.hint}>{t('preview.excepted', { count: live.excepted, number: number(live.excepted) })}</p>}
      {part(t('preview.found', { count: live.violating, number: number(live.violating) }), (
        <>
          <Segmented size="small" aria-label={t('preview.by')} value={by} onChange={setBy} options={(['namespace', 'owner', 'rule'] as const).map((b) => ({ value: b, label: t(`preview.byWhat.${b}`) }))} />
          <Buckets groups={live.groups} by={by} />
        </>
      ))}
      <Undecided list={live.undecided} />
    </>
  )
}
