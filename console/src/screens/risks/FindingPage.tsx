import { useParams } from '@tanstack/react-router'
import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { FindingActions } from './FindingActions'
import { FindingBody } from './FindingBody'
import { api } from '../../api/client'
import { Copy } from '../../parts/Copy'
import { Page, Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'

// FindingPage is one finding by its link.
export default function FindingPage() {
  const { t } = useTranslation('risks')
  const { id } = useParams({ strict: false })
  const query = api.useQuery('get', '/api/v1/findings/{id}', { params: { path: { id: Number(id) } } })
  const f = query.data
  return (
    <Page
      title={f?.title ?? t('finding')}
      parents={[{ title: t('title'), to: '/risks' }]}
      actions={
        f && (
          <>
            <FindingActions finding={f} />
            <Copy text={location.href} label={t('copyLink')} />
          </>
        )
      }
    >
      {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : <Panel>{f ? <FindingBody finding={f} /> : <Skeleton active paragraph={{ rows: 18 }} />}</Panel>}
    </Page>
  )
}
