import { App, Button } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'

import css from './Integrations.module.css'
import { api, type Schemas } from '../../api/client'
import { useMay } from '../../app/session'
import { Choice } from '../../parts/Choice'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { SlideOver } from '../../parts/SlideOver'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

type Delivery = Schemas['Delivery']

const states = ['sent', 'waiting', 'gathered', 'dead', 'digested'] as const
const looks = { sent: 'ok', waiting: 'warn', gathered: 'unknown', dead: 'bad', digested: 'ok' } as const

// Deliveries is the log of what was sent through channels, newest first.
export default function Deliveries() {
  const { t } = useTranslation('integrations')
  const [url, set] = useUrl()
  const state = states.find((s) => s === url.state)
  const channels = api.useQuery('get', '/api/v1/channels')
  const channel = Number(url.channel)
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/deliveries',
    { params: { query: { limit: 50, state, channel: Number.isSafeInteger(channel) && channel > 0 ? channel : undefined } } },
    paging,
  )
  const name = (id: string) => channels.data?.items?.find((c) => c.id === id)?.name ?? `#${id}`
  const columns: Column<Delivery>[] = [
    { key: 'at', title: t('delivery.at'), width: 120, render: (d) => <When at={d.at} /> },
    { key: 'state', title: t('delivery.state'), width: 120, render: (d) => <Verdict state={looks[d.state]} word={t(`delivery.is.${d.state}`)} /> },
    { key: 'title', title: t('delivery.title'), width: 320, render: (d) => d.title },
    { key: 'channel', title: t('delivery.channel'), width: 150, render: (d) => name(d.channelId) },
    { key: 'attempts', title: t('delivery.attempts'), width: 90, align: 'right', render: (d) => d.attempts },
    { key: 'answer', title: t('delivery.answer'), width: 260, render: (d) => d.answer || '–' },
  ]
  const open = query.data?.pages.flatMap((p) => p.items ?? []).find((d) => d.id === url.delivery)
  return (
    <Panel title={t('title.deliveries')}>
      <div className={css.stack}>
        <div className={css.row} role="search" aria-label={t('delivery.filters')}>
          <Choice label={t('delivery.state')} value={state ? [state] : []} options={states.map((s) => ({ value: s, label: t(`delivery.is.${s}`) }))} onChange={(list) => set({ state: list.at(-1) })} />
          <Choice label={t('delivery.channel')} value={url.channel ? [url.channel] : []} options={(channels.data?.items ?? []).map((c) => ({ value: c.id, label: c.name }))} onChange={(list) => set({ channel: list.at(-1) })} />
        </div>
        <DataTable<Delivery>
          name="deliveries"
          label={t('title.deliveries')}
          query={query}
          columns={columns}
          rowKey={(d) => d.id}
          open={url.delivery}
          onOpen={(d) => set({ delivery: d.id })}
          empty={<EmptyState title={t('delivery.none')} hint={state || url.channel ? t('delivery.noneFits') : t('delivery.noneHint')} />}
        />
      </div>
      <SlideOver open={Boolean(open)} onClose={() => set({ delivery: undefined })} title={open?.title}>
        {open && <One delivery={open} channel={name(open.channelId)} />}
      </SlideOver>
    </Panel>
  )
}

function One({ delivery: d, channel }: { delivery: Delivery; channel: string }) {
  const { t } = useTranslation('integrations')
  const { message } = App.useApp()
  const { number } = useFormat()
  const may = useMay('manage-settings')
  const client = useQueryClient()
  const retry = api.useMutation('post', '/api/v1/deliveries/{id}/retry', {
    onSuccess: () => {
      void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/deliveries' })
      void message.success(t('delivery.again'))
    },
  })
  return (
    <div className={css.stack}>
      <dl className={css.facts}>
        <dt>{t('delivery.state')}</dt>
        <dd>
          <Verdict state={looks[d.state]} word={t(`delivery.is.${d.state}`)} />
        </dd>
        <dt>{t('delivery.channel')}</dt>
        <dd>{channel}</dd>
        <dt>{t('delivery.at')}</dt>
        <dd>
          <When at={d.at} />
        </dd>
        <dt>{t('delivery.attempts')}</dt>
        <dd>{number(d.attempts)}</dd>
        {d.state === 'waiting' && (
          <>
            <dt>{t('delivery.next')}</dt>
            <dd>
              <When at={d.nextAt} />
            </dd>
          </>
        )}
        <dt>{t('delivery.answer')}</dt>
        <dd>{d.answer || '–'}</dd>
        <dt>{t('delivery.event')}</dt>
        <dd>
          <code>{d.event}</code>
        </dd>
      </dl>
      {retry.error && <Problem error={retry.error} />}
      {may && (d.state === 'dead' || d.state === 'waiting') && (
        <div>
          <Button type="primary" loading={retry.isPending} onClick={() => retry.mutate({ params: { path: { id: Number(d.id) } } })}>
            {t('delivery.retry')}
          </Button>
        </div>
      )}
    </div>
  )
}
