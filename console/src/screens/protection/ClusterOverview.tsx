import { Link } from '@tanstack/react-router'
import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import { Problems } from './Problems'
import { Progress } from './Progress'
import { on, type Status } from './shapes'
import blocks from '../../parts/Blocks.module.css'
import { Facts } from '../../parts/Facts'
import { Panel } from '../../parts/Page'
import { When } from '../../parts/When'
import { missing, useFormat } from '../../text/format'

// ClusterOverview says how a cluster is protected, and what is not as it should be.
export function ClusterOverview({ status: s }: { status: Status }) {
  const { t } = useTranslation('protection')
  const { number } = useFormat()
  const g = s.gatekeeperDetails
  if (!on(s.state) && s.state !== 'removing' && s.state !== 'remove-failed') return <Alert type="warning" showIcon title={t('notProtected')} description={t('notProtectedHint')} />
  const current = !!s.generation && s.generation === s.wantedGeneration
  return (
    <div className={blocks.stack}>
      <Problems list={s.problemList} />
      <Panel title={t('tabs.overview')}>
        <Facts
          items={[
            s.reason && [t('col.reason'), s.reason],
            [t('col.policies'), <Link key="p" to="/protection/policies" search={{ target: s.id }}>{t('policiesHold', { count: s.policies, constraints: number(s.constraints) })}</Link>],
            [t('inForce'), current ? <span className={blocks.good}>{t('upToDate')}</span> : <span className={blocks.warn}>{t('onTheWay')}</span>],
            !missing(s.changesAt) && [t('nextStage'), <When key="n" at={s.changesAt} />],
            [t('col.replicas'), <Link key="r" to="/protection/health" search={{ cluster: s.id }}>{t('replicasOf', { ready: (s.providers ?? []).filter((r) => r.alive).length, wanted: s.effectiveSettings.provider?.replicas ?? 2 })}</Link>],
            g && ['Gatekeeper', `${g.version || '?'} · ${g.ours ? t('gatekeeperOurs') : t('gatekeeperAdopted', { by: g.by || t('adopt.somebody') })}`],
            [t('tabs.drift'), number(s.driftList?.length ?? 0)],
            !missing(s.seenAt) && [t('asItShould'), <When key="s" at={s.seenAt} />],
            !missing(s.unreachableSince) && [t('unreachable'), <When key="u" at={s.unreachableSince} />],
            !missing(s.enabledAt) && [t('enabledBy'), <span key="e">{s.enabledBy} · <When at={s.enabledAt} /></span>],
          ]}
        />
      </Panel>
      {(s.steps?.length ?? 0) > 0 && (
        <Panel title={t('lastRun')}>
          <Progress status={s} />
        </Panel>
      )}
    </div>
  )
}
