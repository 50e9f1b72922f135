import { LoadingOutlined } from '@ant-design/icons'
import { Alert, Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { ClusterState } from './ClusterState'
import type { Install } from './shapes'
import { useScanNow } from './useScanNow'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { CodeView } from '../../parts/CodeView'
import { Copy } from '../../parts/Copy'
import { Problem } from '../../parts/Problem'
import { TabBar } from '../../parts/TabBar'
import { When } from '../../parts/When'

function Objects({ install }: { install: Install }) {
  const { t } = useTranslation('assets')
  return (
    <details>
      <summary className={css.summary}>{t('objectsCreated', { count: install.objects?.length ?? 0 })}</summary>
      <div className={css.scroll} tabIndex={0} role="region" aria-label={t('objects')}>
        <table className={css.table}>
          <thead>
            <tr>
              <th scope="col">{t('kind')}</th>
              <th scope="col">{t('name')}</th>
              <th scope="col">{t('why')}</th>
            </tr>
          </thead>
          <tbody>
            {(install.objects ?? []).map((o) => (
              <tr key={o.kind + o.name}>
                <td>{o.kind}</td>
                <td>
                  <code>{o.name}</code>
                </td>
                <td>{o.why}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  )
}

function Snippet({ text, label, hint }: { text: string; label: string; hint: string }) {
  const { t } = useTranslation('assets')
  return (
    <div className={css.stack}>
      <div className={css.row}>
        <span>{hint}</span>
        <Copy text={text} label={t('copy')} />
      </div>
      <CodeView label={label} text={text} height={260} />
    </div>
  )
}

// ConnectorInstall shows what brings a connector into a cluster, makes its one-time token, and waits until it connects.
export function ConnectorInstall({ id }: { id: string }) {
  const { t } = useTranslation('assets')
  useLive(['cluster'], ['/api/v1/clusters/{id}'])
  const params = { path: { id: Number(id) } }
  const cluster = api.useQuery('get', '/api/v1/clusters/{id}', { params }, { refetchInterval: (q) => (q.state.data?.state === 'connected' ? false : 10_000) })
  const shown = api.useQuery('get', '/api/v1/clusters/{id}/connector', { params })
  const token = api.useMutation('post', '/api/v1/clusters/{id}/connector')
  const scan = useScanNow()
  const [way, setWay] = useState('manifest')
  const install = token.data ?? shown.data
  if (shown.error) return <Problem error={shown.error} retry={() => void shown.refetch()} />
  if (!install) return null
  const waiting = cluster.data?.state !== 'connected'
  return (
    <div className={css.stack}>
      <Objects install={install} />
      {token.error ? <Problem error={token.error} /> : null}
      {!token.data && (
        <div className={css.row}>
          <Button type="primary" loading={token.isPending} onClick={() => token.mutate({ params, body: { hours: 24 } })}>
            {t('makeToken')}
          </Button>
          <span className={css.soft}>{t('makeTokenHint')}</span>
        </div>
      )}
      {token.data && (
        <>
          <Alert
            type="warning"
            showIcon
            title={t('tokenOnce')}
            description={
              <>
                {t('tokenEnds')} <When at={token.data.expiresAt} />
              </>
            }
          />
          <TabBar
            label={t('waysToInstall')}
            active={way}
            onChange={setWay}
            tabs={[
              { key: 'manifest', label: t('manifest'), children: <Snippet text={install.manifest} label={t('manifest')} hint={t('manifestHint')} /> },
              { key: 'helm', label: t('helm'), children: <Snippet text={install.values} label={t('helm')} hint={t('helmHint')} /> },
              { key: 'command', label: t('outside'), children: <Snippet text={install.command} label={t('outside')} hint={t('outsideHint')} /> },
            ]}
          />
        </>
      )}
      <p role="status" className={css.row}>
        {waiting ? (
          token.data && (
            <>
              <LoadingOutlined aria-hidden /> {t('waitingForConnector')}
            </>
          )
        ) : (
          <>
            <ClusterState state="connected" /> {t('connectorConnected')}
          </>
        )}
      </p>
      {!waiting && token.data && scan.may && (
        <Button type="primary" loading={scan.busy} onClick={() => scan.start(id, t('firstScan', { name: cluster.data?.name ?? '' }))}>
          {t('scanNow')}
        </Button>
      )}
      {scan.error ? <Problem error={scan.error} /> : null}
    </div>
  )
}
