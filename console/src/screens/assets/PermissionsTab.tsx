import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { CheckResult } from './CheckResult'
import { Permissions } from './Permissions'
import type { Details } from './shapes'
import { api, queries } from '../../api/client'
import { useMayOn } from '../../app/session'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'

// PermissionsTab shows what the server may read of a cluster, as it was checked last, and checks again.
export default function PermissionsTab({ cluster }: { cluster: Details }) {
  const { t } = useTranslation('assets')
  const may = useMayOn('scan', cluster.id)
  const check = api.useMutation('post', '/api/v1/clusters/{id}/check', { onSuccess: () => void queries.invalidateQueries() })
  return (
    <Panel
      title={t('permissions')}
      extra={
        <>
          <span className={css.soft}>
            {t('checked')} <When at={check.data?.at ?? cluster.checkedAt} />
          </span>
          {may && (
            <Button loading={check.isPending} onClick={() => check.mutate({ params: { path: { id: Number(cluster.id) } } })}>
              {t('checkNow')}
            </Button>
          )}
        </>
      }
    >
      {check.error ? <Problem error={check.error} /> : null}
      {check.data ? <CheckResult check={check.data} /> : <Permissions list={cluster.permissions ?? []} grant={cluster.grant} />}
    </Panel>
  )
}
