import { Alert, Descriptions } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { ClusterState } from './ClusterState'
import { Permissions } from './Permissions'
import type { Check } from './shapes'
import { useFormat } from '../../text/format'

// CheckResult shows what trying a cluster gave: whether it answers, what it is, and what may be read of it.
export function CheckResult({ check }: { check: Check }) {
  const { t } = useTranslation('assets')
  const { number } = useFormat()
  return (
    <div className={css.stack}>
      {check.problem && <Alert type="error" showIcon role="alert" title={check.problem} description={check.hint} />}
      <Descriptions
        size="small"
        column={{ xs: 1, sm: 2 }}
        items={[
          { key: 'state', label: t('connection'), children: <ClusterState state={check.state} /> },
          { key: 'server', label: t('server'), children: check.server || '–' },
          { key: 'version', label: t('version'), children: check.version || '–' },
          { key: 'distribution', label: t('distribution'), children: check.distribution ? (check.managed ? t('managedBy', { name: check.distribution }) : check.distribution) : '–' },
          { key: 'nodes', label: t('nodes'), children: check.nodes < 0 ? t('notKnown') : number(check.nodes) },
        ]}
      />
      {!check.problem && <Permissions list={check.permissions ?? []} grant={check.grant} />}
    </div>
  )
}
