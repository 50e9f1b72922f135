import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { KindTag } from './KindTag'
import type { Schemas } from '../../api/client'
import type { Column } from '../../parts/DataTable'
import { SeverityTag } from '../../parts/Severity'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

export type Line = Schemas['AdmissionEvent']

export const ownerOf = (e: Pick<Line, 'ownerKind' | 'ownerName' | 'namespace'>) => [e.ownerKind, [e.namespace, e.ownerName].filter(Boolean).join('/')].filter(Boolean).join(' ')

// useEventColumns are the columns of the list of events.
export function useEventColumns(): Column<Line>[] {
  const { t } = useTranslation('admission')
  const { number } = useFormat()
  return [
    { key: 'kind', title: t('col.kind'), width: 150, render: (e) => <KindTag kind={e.kind} /> },
    { key: 'severity', title: t('col.severity'), width: 100, render: (e) => <SeverityTag severity={e.severity} /> },
    {
      key: 'title',
      title: t('col.event'),
      width: 170,
      render: (e) => (
        <Link to="/protection/events/$id" params={{ id: e.id }} title={e.message}>
          {e.title}
        </Link>
      ),
    },
    { key: 'owner', title: t('col.owner'), width: 180, render: (e) => <span title={ownerOf(e)}>{ownerOf(e)}</span> },
    { key: 'count', title: t('col.count'), width: 70, align: 'right', sort: 'count', down: true, render: (e) => number(e.count) },
    { key: 'lastSeen', title: t('col.lastSeen'), width: 110, sort: 'lastSeen', down: true, render: (e) => <When at={e.lastSeen} /> },
    { key: 'cluster', title: t('col.cluster'), width: 90, render: (e) => e.cluster },
    {
      key: 'policy',
      title: t('col.policy'),
      width: 130,
      render: (e) => (
        <Link to="/protection/policies/$id" params={{ id: e.policyId }}>
          {e.policyName || e.policyId}
        </Link>
      ),
    },
    { key: 'firstSeen', title: t('col.firstSeen'), width: 120, sort: 'firstSeen', down: true, hidden: true, render: (e) => <When at={e.firstSeen} /> },
    { key: 'user', title: t('col.user'), width: 150, render: (e) => <span title={e.user}>{e.user || '–'}</span> },
    { key: 'image', title: t('col.image'), width: 200, hidden: true, render: (e) => e.image || '–' },
    { key: 'rule', title: t('col.rule'), width: 160, hidden: true, render: (e) => <code>{e.ruleId || e.rule}</code> },
    { key: 'state', title: t('col.state'), width: 100, render: (e) => t(`state.${e.state}`) },
  ]
}
