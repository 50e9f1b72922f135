import { DownloadOutlined } from '@ant-design/icons'
import { Button, DatePicker, Dropdown } from 'antd'
import dayjs from 'dayjs'
import { useTranslation } from 'react-i18next'

import { exportAddress, filterOf } from './auditFilter'
import { AuditEntry } from './AuditEntry'
import css from './Settings.module.css'
import { useTargets } from './targets'
import { api, type Schemas } from '../../api/client'
import { Choice } from '../../parts/Choice'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Panel } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { useUrl } from '../../parts/search'
import { When } from '../../parts/When'

type Entry = Schemas['Entry']

// Audit lists who changed what. Its filters stand in the URL.
export default function Audit() {
  const { t } = useTranslation('settings')
  const [url, set] = useUrl()
  const targets = useTargets()
  const filter = filterOf(url)
  const query = api.useInfiniteQuery('get', '/api/v1/audit', { params: { query: { ...filter, limit: 50 } } }, paging)
  const rows = query.data?.pages.flatMap((p) => p.items ?? []) ?? []
  const columns: Column<Entry>[] = [
    { key: 'at', title: t('audit.at'), width: 130, render: (e) => <When at={e.at} /> },
    { key: 'actor', title: t('audit.actor'), width: 150, render: (e) => e.actor },
    { key: 'action', title: t('audit.action'), width: 170, render: (e) => <code>{e.action}</code> },
    { key: 'object', title: t('audit.object'), width: 280, render: (e) => e.object },
    { key: 'target', title: t('audit.target'), width: 140, render: (e) => (e.targetId ? targets.name(e.targetId) : '–') },
    { key: 'remote', title: t('audit.remote'), width: 140, render: (e) => e.remote || '–' },
    { key: 'request', title: t('audit.request'), width: 200, render: (e) => <code>{e.request || '–'}</code>, hidden: true },
  ]
  const files = (['csv', 'jsonl'] as const).map((form) => ({
    key: form,
    label: (
      <a href={exportAddress(filter, form)} download>
        {t(`audit.form.${form}`)}
      </a>
    ),
  }))
  return (
    <Panel
      title={t('audit.title')}
      extra={
        <Dropdown trigger={['click']} menu={{ items: files }}>
          <Button icon={<DownloadOutlined />}>{t('audit.export')}</Button>
        </Dropdown>
      }
    >
      <div className={css.stack}>
        <div className={css.row} role="search" aria-label={t('audit.filters')}>
          <SearchBox label={t('audit.actorFilter')} value={url.actor ?? ''} onChange={(actor) => set({ actor }, true)} />
          <SearchBox label={t('audit.actionFilter')} value={url.action ?? ''} onChange={(action) => set({ action }, true)} placeholder="cluster.add" />
          <SearchBox label={t('audit.objectFilter')} value={url.object ?? ''} onChange={(object) => set({ object }, true)} />
          <Choice label={t('audit.target')} value={url.of ? [url.of] : []} options={targets.options} onChange={(list) => set({ of: list.at(-1) })} />
          <DatePicker.RangePicker
            showTime={{ format: 'HH:mm' }}
            allowEmpty={[true, true]}
            placeholder={[t('audit.from'), t('audit.to')]}
            aria-label={t('audit.from')}
            value={[url.from ? dayjs(url.from) : null, url.to ? dayjs(url.to) : null]}
            onChange={(range) => set({ from: range?.[0]?.toISOString(), to: range?.[1]?.toISOString() })}
          />
        </div>
        <DataTable<Entry>
          name="audit"
          label={t('audit.title')}
          query={query}
          columns={columns}
          rowKey={(e) => e.id}
          open={url.entry}
          onOpen={(e) => set({ entry: e.id })}
          empty={<EmptyState title={t('audit.none')} hint={Object.keys(filter).length > 0 ? t('audit.noneHint') : undefined} />}
        />
      </div>
      <AuditEntry entry={rows.find((e) => e.id === url.entry)} onClose={() => set({ entry: undefined })} />
    </Panel>
  )
}
