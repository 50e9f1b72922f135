import { Link } from '@tanstack/react-router'
import { Tooltip } from 'antd'
import type { TFunction } from 'i18next'

import css from './assets.module.css'
import { ClusterMenu } from './ClusterMenu'
import { ClusterState } from './ClusterState'
import type { Cluster, Sum } from './shapes'
import type { Column } from '../../parts/DataTable'
import { SeverityCounts } from '../../parts/Severity'
import { When } from '../../parts/When'
import { missing, number } from '../../text/format'
import { grade } from '../overview/Score'

const sum = (counts: Record<string, number> | undefined) => Object.values(counts ?? {}).reduce((a, b) => a + b, 0)

// clusterColumns are the columns of the table of clusters; what is counted comes from their summaries.
export function clusterColumns(t: TFunction<'assets'>, word: TFunction<'words'>, sums: Map<string, Sum>): Column<Cluster>[] {
  const findings = (c: Cluster, filter: Record<string, string> = {}) => ({ to: '/risks', search: { view: 'findings', target: c.id, ...filter } })
  const kind = (key: string, kinds: string[], hidden = false): Column<Cluster> => ({
    key,
    title: t(`columns.${key}` as 'columns.vulnerabilities'),
    width: 100,
    align: 'right',
    hidden,
    render: (c) => {
      const s = sums.get(c.id)
      const n = kinds.reduce((all, k) => all + sum(s?.kinds[k]), 0)
      if (!s) return '…'
      if (n === 0) return missing(c.lookedAt) ? <span title={t('notLookedAt')}>–</span> : '0'
      return (
        <Link {...findings(c, { kind: kinds.join(',') })} aria-label={`${t(`columns.${key}` as 'columns.vulnerabilities')}: ${number(n)}`}>
          {number(n)}
        </Link>
      )
    },
  })
  return [
    {
      key: 'name',
      title: t('name'),
      width: 150,
      render: (c) => (
        <Link to="/clusters/$id" params={{ id: c.id }} className={css.strong}>
          {c.name}
        </Link>
      ),
    },
    { key: 'state', title: t('connection'), width: 120, render: (c) => <ClusterState state={c.state} reason={c.reason} snapshot={c.kind === 'snapshot'} /> },
    { key: 'kind', title: t('reachedBy'), width: 110, hidden: true, render: (c) => t(`kinds.${c.kind}`) },
    { key: 'version', title: t('version'), width: 150, render: (c) => [c.version, c.distribution].filter(Boolean).join(' · ') || '–' },
    {
      key: 'nodes',
      title: t('columns.nodes'),
      width: 110,
      align: 'right',
      render: (c) => (
        <Tooltip title={t('protectedOf', { protected: number(c.protectedNodes), nodes: number(c.nodes) })}>
          <Link to="/assets/nodes" search={{ target: c.id }}>
            {number(c.nodes)} / {number(c.protectedNodes)}
          </Link>
        </Tooltip>
      ),
    },
    {
      key: 'score',
      title: t('columns.score'),
      width: 80,
      align: 'right',
      render: (c) => {
        const s = sums.get(c.id)
        if (!s) return '…'
        return (
          <Link to="/" search={{ target: c.id }} className={css[`grade-${grade(s.score)}`]} aria-label={t('scoreOf', { score: s.score })}>
            {s.score}
          </Link>
        )
      },
    },
    {
      key: 'findings',
      title: t('columns.findings'),
      width: 245,
      render: (c) => {
        const s = sums.get(c.id)
        if (!s) return '…'
        return missing(c.lookedAt) && s.active === 0 ? <span className={css.soft}>{t('notLookedAt')}</span> : <SeverityCounts counts={s.severities} link={(severity) => findings(c, { severity })} />
      },
    },
    kind('vulnerabilities', ['system-vulnerability', 'application-vulnerability', 'emergency']),
    kind('configuration', ['configuration']),
    kind('permissions', ['permission']),
    kind('secrets', ['secret', 'malware']),
    {
      key: 'gaps',
      title: t('columns.gaps'),
      width: 100,
      align: 'right',
      render: (c) => {
        const s = sums.get(c.id)
        const n = sum(s?.gaps)
        if (!s) return '…'
        if (!s.whole) return <span title={t('gapsOfWhole')}>–</span>
        const title = Object.entries(s.gaps)
          .map(([code, count]) => `${word(`gap.${code as 'limit'}`)}: ${number(count)}`)
          .join(', ')
        return n === 0 ? (missing(c.lookedAt) ? '–' : '0') : (
          <Link to="/gaps" search={{ target: c.id }} title={title}>
            {number(n)}
          </Link>
        )
      },
    },
    { key: 'looked', title: t('columns.looked'), width: 130, render: (c) => <When at={c.lookedAt} /> },
    { key: 'contact', title: t('columns.contact'), width: 130, hidden: true, render: (c) => <When at={c.contactAt} /> },
    { key: 'actions', title: t('columns.actions'), width: 70, render: (c) => <ClusterMenu id={c.id} name={c.name} kind={c.kind} /> },
  ]
}
