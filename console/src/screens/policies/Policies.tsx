import { PlusOutlined } from '@ant-design/icons'
import { Link, useNavigate } from '@tanstack/react-router'
import { Button, Select } from 'antd'
import { useTranslation } from 'react-i18next'

import { ImportDialog } from './ImportDialog'
import { actions, type Action } from './shapes'
import { usePolicyColumns } from './usePolicyColumns'
import { api, call } from '../../api/client'
import { useLive } from '../../app/live'
import { useMay } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { DataTable } from '../../parts/DataTable'
import { DownloadButton } from '../../parts/Download'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { useUrl } from '../../parts/search'
import { whole } from '../../parts/whole'

// Policies is the list of policies.
export default function Policies() {
  const { t } = useTranslation('policies')
  const [url, setUrl] = useUrl()
  const navigate = useNavigate()
  const may = useMay('manage-policies')
  const action = actions.find((a) => a === url.action)
  useLive(['policies', 'protection'], ['/api/v1/policies', '/api/v1/admission-events/summary'])
  const target = Number(url.target) || undefined
  const query = api.useQuery('get', '/api/v1/policies', { params: { query: { q: url.q || undefined, action, target, rule: url.rule || undefined } } })
  const columns = usePolicyColumns()
  const filtered = !!(url.q || action || target || url.rule)
  const add = may && (
    <Link to="/protection/policies/new">
      <Button type="primary" icon={<PlusOutlined />} tabIndex={-1}>
        {t('new')}
      </Button>
    </Link>
  )
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        <>
          <Link to="/exceptions">{t('toExceptions')}</Link>
          <Link to="/protection/templates">{t('template.title')}</Link>
          <DownloadButton label={t('exportAll')} name="policies.yaml" get={(signal) => call.GET('/api/v1/policies/file', { parseAs: 'stream', signal })} />
          {may && <ImportDialog />}
          {add}
        </>
      }
    >
      <div className={blocks.row} role="search">
        <SearchBox label={t('search')} value={url.q ?? ''} onChange={(q) => setUrl({ q }, true)} />
        <Select allowClear aria-label={t('actionOf')} placeholder={t('anyAction')} value={action ?? null} onChange={(a: Action | null) => setUrl({ action: a })} options={actions.map((a) => ({ value: a, label: t(`action.${a}`) }))} style={{ width: 180 }} />
      </div>
      <DataTable
        name="policies"
        label={t('title')}
        query={whole(query)}
        columns={columns}
        rowKey={(p) => p.id!}
        rowHeight={52}
        onOpen={(p) => void navigate({ to: '/protection/policies/$id', params: { id: p.id! } })}
        empty={
          filtered ? (
            <EmptyState title={t('noMatch')} action={<Button onClick={() => setUrl({ q: '', action: '', target: '', rule: '' })}>{t('clear')}</Button>} />
          ) : (
            <EmptyState title={t('none')} hint={may ? t('noneHint') : t('noneHintRead')} action={add} />
          )
        }
      />
    </Page>
  )
}
