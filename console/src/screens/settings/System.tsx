import { DownloadOutlined, ReloadOutlined } from '@ant-design/icons'
import { Button, Skeleton } from 'antd'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import css from './Settings.module.css'
import { api, type Schemas } from '../../api/client'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

type Check = Schemas['System']['checks'][number]

// System shows how the server is: a verdict and a sentence for each thing.
export default function System() {
  const { t } = useTranslation('settings')
  const query = api.useQuery('get', '/api/v1/system', undefined, { refetchInterval: 60_000 })
  const s = query.data
  return (
    <>
      <Panel
        title={t('system.title')}
        extra={
          <>
            {query.dataUpdatedAt > 0 && (
              <span className="text-soft">
                {t('updated')} <When at={new Date(query.dataUpdatedAt).toISOString()} />
              </span>
            )}
            <Button icon={<ReloadOutlined spin={query.isFetching} />} onClick={() => void query.refetch()}>
              {t('refresh')}
            </Button>
            <Button icon={<DownloadOutlined />} href="/api/v1/system/diagnostics" download>
              {t('system.diagnostics')}
            </Button>
          </>
        }
      >
        {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : null}
        {query.isPending && <Skeleton active paragraph={{ rows: 12 }} />}
        {s && (
          <ul className={css.checks}>
            {(s.checks ?? []).map((c) => (
              <li key={c.id}>
                <Verdict state={c.state} word={t(`state.${c.state}`)} />
                <strong>{c.title}</strong>
                <span>
                  {c.text} <More check={c} />
                </span>
              </li>
            ))}
          </ul>
        )}
        <p className="text-soft">{t('system.diagnosticsHint')}</p>
      </Panel>
      {s && <Processes system={s} />}
    </>
  )
}

// More leads to the list that a sentence counts.
function More({ check }: { check: Check }): ReactNode {
  const { t } = useTranslation('settings')
  switch (check.id) {
    case 'queue':
      return <Link to="/scans">{t('system.show')}</Link>
    case 'deliveries':
      return (
        <Link to="/integrations/$section" params={{ section: 'deliveries' }} search={(check.figures?.failed ?? 0) > 0 ? { state: 'dead' } : {}}>
          {t('system.show')}
        </Link>
      )
    case 'connectors':
      return <Link to="/assets/clusters">{t('system.show')}</Link>
    case 'advisories':
      return (
        <Link to="/settings/$section" params={{ section: 'advisories' }}>
          {t('system.show')}
        </Link>
      )
    default:
      return null
  }
}

function Processes({ system: s }: { system: Schemas['System'] }) {
  const { t } = useTranslation('settings')
  const { bytes } = useFormat()
  return (
    <Panel title={t('system.processes')}>
      <div className={css.scroll} tabIndex={0} role="group" aria-label={t('system.processes')}>
        <table className={css.table}>
          <thead>
            <tr>
              {(['name', 'version', 'roles', 'started', 'seen', 'memory'] as const).map((c) => (
                <th key={c} scope="col">
                  {t(`system.column.${c}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {(s.replicas ?? []).map((r) => (
              <tr key={r.name}>
                <td>
                  {r.name} {r.leads && <span className="text-soft">({t('system.leads')})</span>}
                </td>
                <td>{r.version}</td>
                <td>{(r.roles ?? []).join(' · ')}</td>
                <td>
                  <When at={r.startedAt} />
                </td>
                <td>
                  <When at={r.seenAt} /> {r.silent && <Verdict state="bad" word={t('system.silent')} />}
                </td>
                <td>{bytes(r.memoryBytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="text-soft">{t('system.build', { version: s.version, go: s.go, platform: s.platform })}</p>
    </Panel>
  )
}
