import { Link, useNavigate } from '@tanstack/react-router'
import { Space, Tag } from 'antd'
import { useCallback } from 'react'
import { useTranslation } from 'react-i18next'

import { families, kindName, type FamilyWord } from './model'
import { api, type Schemas } from '../../api/client'
import { Choice } from '../../parts/Choice'
import { DataTable, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { listOf, useUrl } from '../../parts/search'
import { SearchBox } from '../../parts/SearchBox'
import { severities, SeverityTag } from '../../parts/Severity'
import { useFormat } from '../../text/format'

type Line = Schemas['RuleLine']
const risks = ['control-plane', 'access-control', 'key-management', 'network', 'workload', 'node-escape', 'image', 'supply-chain'] as const

// Rules lists the rules that the server judges by.
export default function Rules() {
  const { t } = useTranslation('rules')
  const { t: words } = useTranslation('words')
  const { number } = useFormat()
  const navigate = useNavigate()
  const [url, set] = useUrl()
  const query = api.useQuery(
    'get',
    '/api/v1/rules',
    { params: { query: { q: url.q || undefined, family: list(url.family), severity: list(url.severity) as Line['severity'][] | undefined, risk: list(url.risk) } } },
    { staleTime: 300_000 },
  )
  const facets = query.data?.facets
  const counted = (name: string, kind: 'family' | 'severity' | 'risk', value: string) => `${name} (${number(facets?.[kind]?.[value] ?? 0)})`
  const search = useCallback((q: string) => set({ q }, true), [set])
  return (
    <Page title={t('title')} lead={t('lead')}>
      <Space wrap>
        <SearchBox label={t('search')} value={url.q ?? ''} onChange={search} />
        <Choice
          label={t('family')}
          value={listOf(url.family)}
          options={families.map((f) => ({ value: f, label: counted(t(`families.${f}`), 'family', f) }))}
          onChange={(family) => set({ family })}
        />
        <Choice
          label={t('severity')}
          value={listOf(url.severity)}
          options={severities.map((s) => ({ value: s, label: counted(words(`severity.${s}`), 'severity', s) }))}
          onChange={(severity) => set({ severity })}
        />
        <Choice label={t('risk')} value={listOf(url.risk)} options={risks.map((r) => ({ value: r, label: counted(words(`risk.${r}`), 'risk', r) }))} onChange={(risk) => set({ risk })} />
      </Space>
      <DataTable<Line>
        name="rules"
        label={t('title')}
        columns={useColumns()}
        rowKey={(r) => r.rule}
        onOpen={(r) => void navigate({ to: '/rules/' + r.rule })}
        empty={<EmptyState title={t('none')} hint={t('noneHint')} />}
        query={{
          data: query.data && { pages: [{ items: query.data.items, total: query.data.total }] },
          error: query.error,
          isPending: query.isPending,
          isFetching: query.isFetching,
          isFetchingNextPage: false,
          hasNextPage: false,
          fetchNextPage: () => undefined,
          refetch: query.refetch,
          dataUpdatedAt: query.dataUpdatedAt,
        }}
      />
    </Page>
  )
}

const list = (text: string | undefined) => (text ? listOf(text) : undefined)

function useColumns(): Column<Line>[] {
  const { t } = useTranslation('rules')
  const { t: words } = useTranslation('words')
  return [
    {
      key: 'title',
      title: t('rule'),
      width: 340,
      render: (r) => {
        const [family = '', rule = ''] = r.rule.split('/')
        return (
          <Link to="/rules/$family/$rule" params={{ family, rule }}>
            {r.title}
          </Link>
        )
      },
    },
    { key: 'severity', title: t('severity'), width: 100, render: (r) => <SeverityTag severity={r.severity} /> },
    { key: 'family', title: t('family'), width: 130, render: (r) => (families.includes(r.family as FamilyWord) ? t(`families.${r.family as FamilyWord}`) : r.family) },
    { key: 'risk', title: t('risk'), width: 130, render: (r) => (risks.includes(r.risk as (typeof risks)[number]) ? words(`risk.${r.risk as (typeof risks)[number]}`) : r.risk) },
    {
      key: 'kinds',
      title: t('looksAt'),
      width: 220,
      render: (r) => (
        <span title={r.kinds.join(', ')}>
          {r.kinds.slice(0, 2).map((k) => (
            <Tag key={k}>{kindName(k)}</Tag>
          ))}
          {r.kinds.length > 2 && `+${r.kinds.length - 2}`}
        </span>
      ),
    },
    { key: 'id', title: t('id'), width: 120, render: (r) => <code>{r.id}</code> },
    { key: 'name', title: t('name'), width: 260, hidden: true, render: (r) => <code>{r.rule}</code> },
  ]
}
