import { Link } from '@tanstack/react-router'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import { on, type Summary } from './shapes'
import { StateTag } from './StateTag'
import { rolesThat, useProfile } from '../../app/session'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import type { Column } from '../../parts/DataTable'
import { When } from '../../parts/When'
import { missing, useFormat } from '../../text/format'

type Acts = { enable: (id: string) => void; disable: (id: string) => void }

// useClusterColumns are the columns of the list of protected clusters.
export function useClusterColumns({ enable, disable }: Acts): Column<Summary>[] {
  const { t } = useTranslation('protection')
  const { number } = useFormat()
  const profile = useProfile()
  const may = (id: string) => profile.actions.includes('manage-policies') && profile.grants.some((g) => rolesThat('manage-policies').includes(g.role) && (!g.targetId || g.targetId === '0' || (g.targetId === id && !g.namespace)))
  const events = api.useQuery('get', '/api/v1/admission-events/summary', { params: { query: {} } }, { staleTime: 30_000, retry: false })
  const counts = new Map((events.data?.clusters ?? []).map((c) => [c.id, c.events]))
  return [
    {
      key: 'cluster',
      title: t('cluster'),
      width: 160,
      render: (c) => (
        <Link to="/protection/clusters/$id" params={{ id: c.id }} className={blocks.strong}>
          {c.name}
        </Link>
      ),
    },
    { key: 'state', title: t('col.state'), width: 210, render: (c) => <StateTag state={c.state} reason={c.reason} /> },
    { key: 'reason', title: t('col.reason'), width: 260, render: (c) => <span title={c.reason}>{c.reason || '–'}</span> },
    {
      key: 'policies',
      title: t('col.policies'),
      width: 90,
      align: 'right',
      render: (c) => (
        <Link to="/protection/policies" search={{ target: c.id }}>
          {number(c.policies)}
        </Link>
      ),
    },
    {
      key: 'events',
      title: t('col.events'),
      width: 110,
      align: 'right',
      render: (c) => {
        const n = counts.get(c.id) ?? 0
        if (!events.data) return '–'
        return n === 0 ? number(0) : (
          <Link to="/protection/events" search={{ target: c.id }}>
            {number(n)}
          </Link>
        )
      },
    },
    {
      key: 'replicas',
      title: t('col.replicas'),
      width: 110,
      align: 'right',
      render: (c) =>
        on(c.state) ? (
          <Link to="/protection/health" search={{ cluster: c.id }} title={t('replicasOf', { ready: c.replicas, wanted: c.wantedReplicas })}>
            {number(c.replicas)} / {number(c.wantedReplicas)}
          </Link>
        ) : (
          '–'
        ),
    },
    { key: 'gatekeeper', title: 'Gatekeeper', width: 120, render: (c) => c.gatekeeper || '–' },
    {
      key: 'drift',
      title: t('col.drift'),
      width: 90,
      align: 'right',
      render: (c) =>
        c.drift > 0 ? (
          <Link to="/protection/clusters/$id" params={{ id: c.id }} search={{ tab: 'drift' }}>
            {number(c.drift)}
          </Link>
        ) : (
          number(0)
        ),
    },
    { key: 'since', title: t('col.since'), width: 120, render: (c) => (missing(c.stateAt) ? '–' : <When at={c.stateAt} />) },
    {
      key: 'actions',
      title: t('col.actions'),
      width: 110,
      render: (c) =>
        !may(c.id) ? null : c.state === 'unprotected' || c.state === 'error' || c.state === 'installing' ? (
          <Button size="small" type={c.state === 'unprotected' ? 'primary' : 'default'} onClick={() => enable(c.id)} aria-label={t(c.state === 'unprotected' ? 'enableOf' : 'progressOf', { name: c.name })}>
            {c.state === 'unprotected' ? t('enable') : t('progress')}
          </Button>
        ) : (
          <Button size="small" onClick={() => disable(c.id)} aria-label={t('disableOf', { name: c.name })}>
            {t('disable')}
          </Button>
        ),
    },
  ]
}
