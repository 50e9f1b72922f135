import { PlusOutlined } from '@ant-design/icons'
import { Button, Tag } from 'antd'
import { useTranslation } from 'react-i18next'

import { place, type Channel } from './channel'
import { ChannelForm } from './ChannelForm'
import { api } from '../../api/client'
import { useMay } from '../../app/session'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Panel } from '../../parts/Page'
import { useUrl } from '../../parts/search'
import { When } from '../../parts/When'

// Channels lists where messages go, and how that went.
export default function Channels() {
  const { t } = useTranslation('integrations')
  const may = useMay('manage-settings')
  const [url, set] = useUrl()
  const query = api.useInfiniteQuery('get', '/api/v1/channels', {}, paging)
  const rows = query.data?.pages.flatMap((p) => p.items ?? []) ?? []
  const columns: Column<Channel>[] = [
    { key: 'name', title: t('channel.name'), width: 180, render: (c) => c.name },
    { key: 'kind', title: t('channel.kind'), width: 130, render: (c) => t(`kind.${c.kind}`) },
    { key: 'place', title: t('channel.place'), width: 280, render: (c) => place(c) || (c.secrets?.includes('url') ? t('channel.secretPlace') : '–') },
    { key: 'state', title: t('channel.state'), width: 150, render: (c) => <State channel={c} /> },
    { key: 'sent', title: t('channel.sent'), width: 120, render: (c) => <When at={c.sentAt} /> },
    { key: 'digest', title: t('channel.digest'), width: 130, render: (c) => t(`digest.${c.digest || 'none'}`) },
  ]
  const add = may && (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => set({ channel: 'new' })}>
      {t('channel.add')}
    </Button>
  )
  const open = url.channel === 'new' ? 'new' : rows.find((c) => c.id === url.channel)
  return (
    <Panel title={t('title.channels')} extra={add}>
      <DataTable<Channel>
        name="channels"
        label={t('title.channels')}
        query={query}
        columns={columns}
        rowKey={(c) => c.id}
        open={url.channel}
        onOpen={may ? (c) => set({ channel: c.id }) : undefined}
        empty={<EmptyState title={t('channel.none')} hint={t('channel.noneHint')} />}
      />
      {may && <ChannelForm channel={open} onClose={() => set({ channel: undefined })} onAdded={(id) => set({ channel: id }, true)} />}
    </Panel>
  )
}

function State({ channel: c }: { channel: Channel }) {
  const { t } = useTranslation('integrations')
  if (!c.enabled) return <Tag>{t('channel.off')}</Tag>
  if (c.failure) return <Tag color="red" title={c.failure}>{t('channel.failing')}</Tag>
  return <Tag color="green">{t('channel.on')}</Tag>
}
