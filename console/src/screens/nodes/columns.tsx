import { Link } from '@tanstack/react-router'
import { Tooltip } from 'antd'
import type { TFunction } from 'i18next'

import { NodeState } from './NodeState'
import type { Node } from './shapes'
import type { Column } from '../../parts/DataTable'
import { SeverityCounts } from '../../parts/Severity'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'
import { missing, number } from '../../text/format'

// findingsOf is the list of findings on a node.
export function findingsOf(n: Pick<Node, 'assetId'>, filter: Record<string, string> = {}): { to: string; search: Record<string, string> } {
  return { to: '/risks', search: { view: 'findings', asset: n.assetId ?? '', ...filter } }
}

function Findings({ of, t }: { of: Node; t: TFunction<'nodes'> }) {
  const counts = { critical: of.critical, high: of.high, medium: of.medium, low: of.low, info: of.info }
  if (!of.assetId) return <span className="text-soft">{t('notLookedAt')}</span>
  const old = of.stale && (
    <Tooltip title={t('staleHint')}>
      <span className="text-soft">
        {t('readSince')}: <When at={of.factsAt} />
      </span>
    </Tooltip>
  )
  const none = Object.values(counts).every((n) => n === 0)
  if (none && missing(of.judgedAt)) return <span className="text-soft">{t('notJudged')}</span>
  return (
    <>
      <SeverityCounts counts={counts} link={(severity) => findingsOf(of, { severity })} /> {old}
    </>
  )
}

export function columns(t: TFunction<'nodes'>): Column<Node>[] {
  return [
    {
      key: 'name',
      title: t('name'),
      width: 160,
      render: (n) => (
        <Link to="/nodes/$id" params={{ id: n.id }}>
          <strong>{n.name}</strong>
        </Link>
      ),
    },
    {
      key: 'state',
      title: t('stateOf'),
      width: 150,
      render: (n) => (n.claimed ? <Verdict state="bad" word={t('claimed')} why={t('claimedHint')} /> : <NodeState state={n.state} reason={n.reason} />),
    },
    { key: 'findings', title: t('findings'), width: 190, render: (n) => <Findings of={n} t={t} /> },
    {
      key: 'cluster',
      title: t('cluster'),
      width: 110,
      render: (n) => (
        <Link to="/clusters/$id" params={{ id: n.targetId }}>
          {n.cluster}
        </Link>
      ),
    },
    { key: 'seen', title: t('seen'), width: 130, render: (n) => (n.state === 'never' || n.state === 'unsupported' ? '–' : <When at={n.seenAt} />) },
    {
      key: 'containers',
      title: t('containers'),
      width: 105,
      align: 'right',
      render: (n) =>
        missing(n.factsAt) ? '–' : (
          <Link to="/nodes/$id" params={{ id: n.id }} search={{ tab: 'containers' }} aria-label={`${t('containers')}: ${number(n.containers)}`}>
            {number(n.containers)}
          </Link>
        ),
    },
    {
      key: 'unread',
      title: t('unread'),
      width: 115,
      align: 'right',
      render: (n) =>
        missing(n.factsAt) ? '–' : n.skipped ? (
          <Link to="/nodes/$id" params={{ id: n.id }} search={{ tab: 'unread' }} aria-label={`${t('unread')}: ${number(n.skipped)}`}>
            {number(n.skipped)}
          </Link>
        ) : (
          '0'
        ),
    },
    { key: 'version', title: t('agentVersion'), width: 120, hidden: true, render: (n) => n.version || '–' },
    { key: 'os', title: t('os'), width: 190, render: (n) => n.os || '–' },
    { key: 'kernel', title: t('kernel'), width: 150, hidden: true, render: (n) => n.kernel || '–' },
    { key: 'runtime', title: t('runtime'), width: 150, render: (n) => n.runtime || '–' },
    { key: 'kubelet', title: t('kubelet'), width: 110, hidden: true, render: (n) => n.kubelet || '–' },
    { key: 'roles', title: t('roles'), width: 130, hidden: true, render: (n) => (n.roles ?? []).join(', ') || '–' },
    { key: 'facts', title: t('factsAt'), width: 130, hidden: true, render: (n) => <When at={n.factsAt} /> },
  ]
}
