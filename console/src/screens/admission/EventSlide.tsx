import { DownOutlined, ExportOutlined, UpOutlined } from '@ant-design/icons'
import { Link } from '@tanstack/react-router'
import { Button, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { EventActions } from './EventActions'
import { EventBody } from './EventBody'
import { api } from '../../api/client'
import { Problem } from '../../parts/Problem'
import { SlideOver } from '../../parts/SlideOver'

type Props = { ids: string[]; open?: string; set: (id: string | undefined) => void }

// EventSlide shows one event beside the list.
export function EventSlide({ ids, open, set }: Props) {
  const { t } = useTranslation('admission')
  const at = open ? ids.indexOf(open) : -1
  const before = at > 0 ? ids[at - 1] : undefined
  const after = at >= 0 ? ids[at + 1] : undefined
  const query = api.useQuery('get', '/api/v1/admission-events/{id}', { params: { path: { id: Number(open) } } }, { enabled: !!open })
  const event = query.data
  return (
    <SlideOver
      open={!!open}
      onClose={() => set(undefined)}
      title={t('event')}
      extra={
        <>
          <Button type="text" icon={<UpOutlined />} disabled={!before} aria-label={t('previous')} onClick={() => set(before)} />
          <Button type="text" icon={<DownOutlined />} disabled={!after} aria-label={t('next')} onClick={() => set(after)} />
          {open && (
            <Link to="/protection/events/$id" params={{ id: open }}>
              <Button type="text" icon={<ExportOutlined />} tabIndex={-1}>
                {t('fullPage')}
              </Button>
            </Link>
          )}
        </>
      }
      footer={event && <EventActions event={event} />}
    >
      {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : event ? <EventBody key={event.id} event={event} heading /> : <Skeleton active paragraph={{ rows: 14 }} />}
    </SlideOver>
  )
}
