import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { findingsOf } from './columns'
import css from './nodes.module.css'
import type { Details } from './shapes'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { Facts } from '../../parts/Facts'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { missing, useFormat } from '../../text/format'
import { Kinds } from '../overview/Kinds'

// NodeOverview is the first tab of a node: what was found on it, the system, and the agent with what it may use.
export function NodeOverview({ node: n }: { node: Details }) {
  const { t } = useTranslation('nodes')
  return (
    <div className={css.grid}>
      <Panel title={t('findingsByKind')} className={css.wide}>
        <FindingsOf node={n} />
      </Panel>
      <Panel title={t('system')} className={css.side}>
        {missing(n.factsAt) ? (
          <p className="text-soft">{t('noFacts')}</p>
        ) : (
          <Facts
            items={[
              !!n.roles?.length && [t('roles'), n.roles.join(', ')],
              !!n.distribution && [t('distribution'), n.distribution],
              !!n.kubelet && [t('kubelet'), n.kubelet],
              !!n.os && [t('os'), n.os],
              !!n.kernel && [t('kernel'), n.kernel],
              !!n.architecture && [t('architecture'), n.architecture],
              !!n.runtime && [t('runtime'), n.runtime],
              !!n.machineId && [t('machine'), <code key="m">{n.machineId}</code>],
              !!n.providerId && [t('provider'), <code key="p">{n.providerId}</code>],
            ]}
          />
        )}
      </Panel>
      <Agent node={n} />
    </div>
  )
}

function FindingsOf({ node: n }: { node: Details }) {
  const { t } = useTranslation('nodes')
  const asset = api.useQuery('get', '/api/v1/assets/{id}', { params: { path: { id: Number(n.assetId ?? 0) } } }, { enabled: !!n.assetId })
  if (!n.assetId) return <p className="text-soft">{t('notLookedAtHint')}</p>
  if (asset.error) return <Problem error={asset.error} retry={() => void asset.refetch()} />
  if (!asset.data) return <Skeleton active title={false} paragraph={{ rows: 10, width: '100%' }} />
  return (
    <div className={blocks.stack}>
      <Kinds counts={asset.data.kinds} link={(filter) => findingsOf(n, filter)} />
      {missing(n.judgedAt) ? <p className={blocks.warn}>{t('notJudgedHint')}</p> : n.waiting ? <p className="text-soft">{t('judging')}</p> : null}
    </div>
  )
}

// Agent is how the agent of a node is, and what it uses.
function Agent({ node: n }: { node: Details }) {
  const { t } = useTranslation('nodes')
  const { number, bytes, duration } = useFormat()
  if (n.state === 'never' || n.state === 'unsupported') return null
  return (
    <Panel title={t('agent')} className={css.whole}>
      <div className={blocks.two}>
        <Facts
          items={[
            [t('agentVersion'), n.version || '–'],
            [t('enrolledAt'), <When key="e" at={n.enrolledAt} />],
            [t('seen'), <When key="s" at={n.seenAt} />],
            [t('factsAt'), <When key="f" at={n.factsAt} />],
            [t('softwareAt'), <When key="p" at={n.softwareAt} />],
            [t('judgedAt'), <When key="j" at={n.judgedAt} />],
          ]}
        />
        <Facts
          items={[
            !!n.memory && [t('memory'), bytes(n.memory)],
            !!n.cpuMs && [t('cpu'), t('cpuOf', { time: duration(n.cpuMs) })],
            [t('spool'), number(n.spool ?? 0)],
            [t('classesOf'), n.classes.length === 0 ? '–' : n.classes.map((c) => classWord(t, c)).join(', ')],
            [t('work'), n.work.length === 0 ? t('noWork') : n.work.map((w) => t(`workKind.${w.kind}`)).join(', ')],
          ]}
        />
      </div>
    </Panel>
  )
}

const classes = ['read', 'process', 'request', 'private'] as const

function classWord(t: ReturnType<typeof useTranslation<'nodes'>>['t'], name: string): string {
  const known = classes.find((c) => c === name)
  return known ? t(`safety.${known}`) : name
}
