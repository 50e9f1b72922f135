import { Button, Popconfirm } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { ConnectorInstall } from './ConnectorInstall'
import type { Details } from './shapes'
import { api, queries } from '../../api/client'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { missing } from '../../text/format'

// ConnectorTab shows the tunnels and certificates of a cluster's connector, how to install it, and takes it back.
export default function ConnectorTab({ cluster, manages }: { cluster: Details; manages: boolean }) {
  const { t } = useTranslation('assets')
  const revoke = api.useMutation('delete', '/api/v1/clusters/{id}/connector', { onSuccess: () => void queries.invalidateQueries() })
  const tunnels = cluster.connector?.tunnels ?? []
  const certificates = cluster.connector?.certificates ?? []
  return (
    <div className={css.grid}>
      <Panel title={t('tunnels')} className={css.half}>
        {tunnels.length === 0 && <p className={css.soft}>{t('noTunnels')}</p>}
        <ul className={css.plain}>
          {tunnels.map((x) => (
            <li key={x.replica}>
              {x.remote} · {x.version} · {t('since')} <When at={x.since} />
            </li>
          ))}
        </ul>
      </Panel>
      <Panel title={t('certificates')} className={css.half}>
        {certificates.length === 0 && <p className={css.soft}>{t('noCertificates')}</p>}
        <ul className={css.plain}>
          {certificates.map((x) => (
            <li key={x.serial}>
              <code>{x.serial.slice(0, 16)}</code> · {missing(x.revokedAt) ? t('ends') : t('revoked')} <When at={missing(x.revokedAt) ? x.expiresAt : x.revokedAt} /> {x.why}
            </li>
          ))}
        </ul>
        {manages && certificates.length > 0 && (
          <Popconfirm title={t('revokeSure')} okText={t('revoke')} onConfirm={() => revoke.mutate({ params: { path: { id: Number(cluster.id) } } })}>
            <Button danger loading={revoke.isPending}>
              {t('revoke')}
            </Button>
          </Popconfirm>
        )}
        {revoke.error ? <Problem error={revoke.error} /> : null}
      </Panel>
      {manages && (
        <Panel title={t('install')} className={css.whole}>
          <ConnectorInstall id={cluster.id} />
        </Panel>
      )}
    </div>
  )
}
