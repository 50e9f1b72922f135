import { useParams } from '@tanstack/react-router'
import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { EventActions } from './EventActions'
import { EventBody } from './EventBody'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { Copy } from '../../parts/Copy'
import { Page, Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'

// EventPage is one event by its link.
export default function EventPage() {
  const { t } = useTranslation('admission')
  const { id } = useParams({ strict: false })
  useLive(['admission'], ['/api/v1/admission-events/{id}'])
  const query = api.useQuery('get', '/api/v1/admission-events/{id}', { params: { path: { id: Number(id) } } })
  const event = query.data
  return (
    <Page
      title={event?.title ?? t('event')}
      parents={[{ title: t('events'), to: '/protection/events' }]}
      actions={
        event && (
          <>
            <EventActions event={event} />
            <Copy text={location.href} label={t('copyLink')} />
          </>
        )
      }
    >
      {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : <Panel>{event ? <EventBody event={event} /> : <Skeleton active paragraph={{ rows: 18 }} />}</Panel>}
    </Page>
  )
}
