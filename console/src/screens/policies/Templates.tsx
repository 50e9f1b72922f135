import { PlusOutlined } from '@ant-design/icons'
import { Link, useNavigate } from '@tanstack/react-router'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import type { Template } from './shapes'
import { api } from '../../api/client'
import { useMay } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { DataTable, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { When } from '../../parts/When'
import { whole } from '../../parts/whole'
import { useFormat } from '../../text/format'

// Templates are the user's own ConstraintTemplates that are kept.
export default function Templates() {
  const { t } = useTranslation('policies')
  const { list } = useFormat()
  const navigate = useNavigate()
  const may = useMay('manage-policies')
  const query = api.useQuery('get', '/api/v1/policy-templates')
  const add = may && (
    <Link to="/protection/templates/$name" params={{ name: 'new' }}>
      <Button type="primary" icon={<PlusOutlined />} tabIndex={-1}>
        {t('template.new')}
      </Button>
    </Link>
  )
  const columns: Column<Template>[] = [
    {
      key: 'name',
      title: t('name'),
      width: 220,
      render: (x) => (
        <Link to="/protection/templates/$name" params={{ name: x.name }} className={blocks.strong}>
          {x.name}
        </Link>
      ),
    },
    { key: 'kind', title: t('template.kind'), width: 180, render: (x) => <code>{x.kind}</code> },
    { key: 'engines', title: t('template.language'), width: 160, render: (x) => list((x.engines ?? []).map((e) => (e === 'K8sNativeValidation' ? 'CEL' : e))) },
    {
      key: 'policies',
      title: t('template.usedBy'),
      width: 240,
      render: (x) =>
        (x.policies ?? []).map((p, i) => (
          <span key={p.id}>
            {i > 0 && ', '}
            <Link to="/protection/policies/$id" params={{ id: p.id }}>
              {p.name}
            </Link>
          </span>
        )),
    },
    { key: 'by', title: t('col.by'), width: 120, render: (x) => x.updatedBy },
    { key: 'at', title: t('col.at'), width: 120, render: (x) => <When at={x.updatedAt} /> },
  ]
  return (
    <Page title={t('template.title')} lead={t('template.lead')} parents={[{ title: t('title'), to: '/protection/policies' }]} actions={add}>
      <DataTable
        name="policy-templates"
        label={t('template.title')}
        query={whole(query)}
        columns={columns}
        rowKey={(x) => x.name}
        onOpen={(x) => void navigate({ to: '/protection/templates/$name', params: { name: x.name } })}
        empty={<EmptyState title={t('template.none')} hint={t('template.noneHint')} action={add} />}
      />
    </Page>
  )
}
