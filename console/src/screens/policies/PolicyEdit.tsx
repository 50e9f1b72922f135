import { useNavigate, useParams } from '@tanstack/react-router'
import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { blank, draftOf } from './draft'
import { Wizard } from './Wizard'
import { api } from '../../api/client'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'

const parents = (title: string) => [{ title, to: '/protection/policies' }]

// PolicyEdit is the wizard for a new policy, or for one that is kept.
export default function PolicyEdit() {
  const { t } = useTranslation('policies')
  const { id } = useParams({ strict: false })
  const [url] = useUrl()
  const navigate = useNavigate()
  const from = id ?? url.from // a copy begins with another one
  const kept = api.useQuery('get', '/api/v1/policies/{id}', { params: { path: { id: Number(from) } } }, { enabled: !!from, staleTime: 0 })
  const policy = kept.data
  const title = id ? (policy ? t('editTitle', { name: policy.name }) : t('edit')) : t('new')
  const done = (saved: string) => void navigate({ to: '/protection/policies/$id', params: { id: saved } })
  return (
    <Page title={title} parents={parents(t('title'))}>
      {kept.error ? (
        <Problem error={kept.error} retry={() => void kept.refetch()} />
      ) : from && !policy ? (
        <Skeleton active paragraph={{ rows: 14 }} />
      ) : id ? (
        <Wizard name={id} first={draftOf(policy!)} saved={policy} done={done} />
      ) : (
        <Wizard name={from ? `copy-${from}` : 'new'} first={policy ? { ...draftOf(policy), id: undefined, version: undefined, name: t('copyOf', { name: policy.name }) } : blank()} done={done} />
      )}
    </Page>
  )
}
