import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { Badges } from './Badges'
import type { Filter, Kind } from './filter'
import { rulePage } from './links'
import { StatusTag } from './StatusTag'
import type { Schemas } from '../../api/client'
import type { Column } from '../../parts/DataTable'
import { SeverityTag } from '../../parts/Severity'
import { When } from '../../parts/When'

type Line = Schemas['FindingLine']

// useFindingColumns are the columns that a list of findings can have.
export function useFindingColumns(filter: Filter): Column<Line>[] {
  const { t } = useTranslation(['risks', 'words'])
  return [
    { key: 'severity', title: t('col.severity'), width: 96, sort: 'severity', down: true, render: (r) => <SeverityTag severity={r.severity} /> },
    { key: 'priority', title: t('col.priority'), width: 88, align: 'right', sort: 'priority', down: true, render: (r) => r.priority },
    {
      key: 'title',
      title: t('col.finding'),
      width: 290,
      render: (r) => (
        <Link to="/findings/$id" params={{ id: r.id }} title={r.title}>
          {r.title || r.rule}
        </Link>
      ),
    },
    { key: 'marks', title: t('col.marks'), width: 130, render: (r) => <Badges kev={r.kev} fixable={r.fixable} /> },
    { key: 'where', title: t('col.where'), width: 220, sort: 'resource', render: (r) => <span title={r.image || r.resource}>{r.resource || r.image}</span> },
    { key: 'cluster', title: t('words:asset.cluster'), width: 140, sort: 'cluster', render: (r) => <span title={r.target}>{r.target}</span> },
    { key: 'namespace', title: t('words:asset.namespace'), width: 130, sort: 'namespace', render: (r) => r.namespace },
    { key: 'package', title: t('col.package'), width: 170, sort: 'package', hidden: !/vulnerability|emergency/.test(filter.kind ?? ''), render: (r) => r.package && <span title={`${r.package} ${r.version ?? ''}`}>{`${r.package} ${r.version ?? ''}`}</span> },
    { key: 'rule', title: t('col.rule'), width: 190, sort: 'rule', hidden: true, render: (r) => <Link to={rulePage(r.rule)}>{r.rule}</Link> },
    { key: 'kind', title: t('col.kind'), width: 150, sort: 'kind', hidden: true, render: (r) => t(`words:kindOne.${r.kind as Kind}`) },
    { key: 'image', title: t('words:asset.image'), width: 240, sort: 'image', hidden: true, render: (r) => <span title={r.image}>{r.image}</span> },
    { key: 'status', title: t('col.status'), width: 120, sort: 'status', render: (r) => <StatusTag status={r.status} /> },
    { key: 'firstSeen', title: t('col.firstSeen'), width: 120, sort: 'firstSeen', down: true, render: (r) => <When at={r.firstSeen} /> },
    { key: 'lastSeen', title: t('col.lastSeen'), width: 120, sort: 'lastSeen', down: true, render: (r) => <When at={r.lastSeen} /> },
    { key: 'changedAt', title: t('col.changedAt'), width: 120, sort: 'changedAt', down: true, hidden: true, render: (r) => <When at={r.changedAt} /> },
  ]
}
