import { Link, useParams } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { AssetFrame } from './AssetFrame'
import { AssetTable } from './AssetTable'
import { Facts } from './Facts'
import { Panel } from '../../parts/Page'

// NamespacePage shows a namespace: its findings by kind, and its workloads.
export default function NamespacePage() {
  const { t } = useTranslation('assets')
  const { id } = useParams({ strict: false })
  return (
    <AssetFrame id={id ?? ''} kind="namespace" lead={(a) => <Link to="/clusters/$id" params={{ id: a.targetId }}>{a.target}</Link>}>
      {(a) => (
        <>
          <Panel title={t('facts')} className={css.third}>
            <Facts
              items={[
                { label: t('podSecurity'), value: a.facts?.podSecurity || t('podSecurityNone') },
                {
                  label: t('overview'),
                  value: (
                    <Link to="/" search={{ target: a.targetId, namespace: a.name }}>
                      {t('toOverview')}
                    </Link>
                  ),
                },
              ]}
            />
          </Panel>
          <Panel title={t('lists.workload')} className={css.whole}>
            <AssetTable kind="workload" within={{ target: [a.targetId], namespace: [a.name] }} height="480px" />
          </Panel>
        </>
      )}
    </AssetFrame>
  )
}
