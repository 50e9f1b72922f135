import { PlusOutlined } from '@ant-design/icons'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import { place, type Channel } from './channel'
import { ChannelForm } from './ChannelForm'
import { api } from '../../api/client'
import { useMay } from '../../app/session'
import { DataTable, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Panel } from '../../parts/Page'
import { useUrl } from '../../parts/search'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'
import { whole } from '../../parts/whole'

// Channels lists where messages go, and how that went.
export default function Channels() {
  const { t } = useTranslation('integrations')
  const may = useMay('manage-settings')
  const [url, set] = useUrl()
  const query = api.useQuery('get', '/api/v1/channels')
  const rows = query.data?.items ?? []
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
        query={whole(query)}
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
  if (!c.enabled) return <Verdict state="ended" word={t('channel.off')} />
  if (c.failure) return <Verdict state="bad" word={t('channel.failing')} why={c.failure} />
  if (!c.sentAt) return <Verdict state="unknown" word={t('channel.unused')} />
  return <Verdict state="ok" word={t('channel.on')} />
}
