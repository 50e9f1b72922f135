import { Link, useNavigate } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { Badges } from './Badges'
import { ofRisk, queryOf, type Filter, type Kind } from './filter'
import { Nothing } from './Nothing'
import { flipped } from './sorts'
import { api, type Schemas } from '../../api/client'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { SeverityTag } from '../../parts/Severity'
import { When } from '../../parts/When'
import { useUrl, type Search } from '../../parts/search'
import { useFormat } from '../../text/format'

type Risk = Schemas['RiskLine']

// RisksView lists what is wrong, once for each rule or vulnerability.
export function RisksView({ filter, search }: { filter: Filter; search: Search }) {
  const { t } = useTranslation(['risks', 'words'])
  const { number } = useFormat()
  const [, setUrl] = useUrl()
  const navigate = useNavigate()
  const sort = (search.sort ?? 'severity') as 'severity'
  const query = api.useInfiniteQuery('get', '/api/v1/risks', { params: { query: { ...queryOf(filter), sort, limit: 100 } } }, paging)
  const columns: Column<Risk>[] = [
    { key: 'severity', title: t('col.severity'), width: 96, sort: 'severity', down: true, render: (r) => <SeverityTag severity={r.severity} /> },
    { key: 'title', title: t('col.risk'), width: 290, render: (r) => <span title={r.title}>{r.title || r.rule}</span> },
    { key: 'marks', title: t('col.marks'), width: 160, render: (r) => <Badges kev={r.kev} epss={r.epss} /> },
    {
      key: 'active',
      title: t('col.findings'),
      width: 100,
      align: 'right',
      sort: 'active', down: true,
      render: (r) => (
        <Link to="/risks" search={ofRisk(filter, r)}>
          {(r.atLeast ? '≥\u2009' : '') + number(r.active)}
        </Link>
      ),
    },
    { key: 'targets', title: t('col.targets'), width: 96, align: 'right', sort: 'targets', down: true, render: (r) => number(r.targets) },
    { key: 'rule', title: t('col.rule'), width: 190, sort: 'rule', render: (r) => <code title={r.rule}>{r.rule}</code> },
    { key: 'kind', title: t('col.kind'), width: 150, sort: 'kind', hidden: !!filter.kind, render: (r) => t(`words:kindOne.${r.kind as Kind}`) },
    { key: 'cvss', title: 'CVSS', width: 70, align: 'right', hidden: true, render: (r) => (r.cvss ? number(r.cvss, { minimumFractionDigits: 1 }) : '–') },
    { key: 'firstSeen', title: t('col.firstSeen'), width: 130, render: (r) => <When at={r.firstSeen} /> },
  ]
  return (
    <DataTable
      name="risks"
      label={t('views.risks')}
      query={query}
      columns={columns}
      rowKey={(r) => r.id}
      sort={flipped(sort)}
      onSort={(s) => setUrl({ sort: flipped(s) })}
      onOpen={(r) => void navigate({ to: '/risks', search: ofRisk(filter, r) })}
      empty={<Nothing filter={filter} />}
      height="max(420px, calc(100vh - 330px))"
    />
  )
}
