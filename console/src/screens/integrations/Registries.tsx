import { PlusOutlined } from '@ant-design/icons'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import { RegistryForm } from './RegistryForm'
import { RegistryState } from './RegistryState'
import { api, type Schemas } from '../../api/client'
import { DataTable, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Panel } from '../../parts/Page'
import { useUrl } from '../../parts/search'
import { When } from '../../parts/When'
import { whole } from '../../parts/whole'

type Registry = Schemas['Registry']

// Registries lists where images are read with credentials, certificates or mirrors of their own.
export default function Registries() {
  const { t } = useTranslation('integrations')
  const [url, set] = useUrl()
  const query = api.useQuery('get', '/api/v1/registries')
  const rows = query.data?.items ?? []
  const columns: Column<Registry>[] = [
    { key: 'name', title: t('registry.name'), width: 170, render: (r) => r.name },
    { key: 'address', title: t('registry.address'), width: 240, render: (r) => <code>{r.address}</code> },
    { key: 'state', title: t('registry.state'), width: 220, render: (r) => <RegistryState check={r.check} /> },
    { key: 'checked', title: t('registry.checked'), width: 120, render: (r) => <When at={r.checkedAt} /> },
    { key: 'user', title: t('registry.user'), width: 140, render: (r) => r.username || (r.hasPassword ? t('registry.token') : t('registry.anonymous')) },
    { key: 'mirror', title: t('registry.mirrorOf'), width: 150, render: (r) => r.mirrorOf || '–' },
  ]
  const open = url.registry === 'new' ? 'new' : rows.find((r) => r.id === url.registry)
  return (
    <Panel
      title={t('title.registries')}
      extra={
        <Button type="primary" icon={<PlusOutlined />} onClick={() => set({ registry: 'new' })}>
          {t('registry.add')}
        </Button>
      }
    >
      <DataTable<Registry>
        name="registries"
        label={t('title.registries')}
        query={whole(query)}
        columns={columns}
        rowKey={(r) => r.id}
        open={url.registry}
        onOpen={(r) => set({ registry: r.id })}
        empty={<EmptyState title={t('registry.none')} hint={t('registry.noneHint')} />}
      />
      <RegistryForm registry={open} onClose={() => set({ registry: undefined })} />
    </Panel>
  )
}
