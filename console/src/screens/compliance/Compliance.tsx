import { useNavigate } from '@tanstack/react-router'
import { Alert, Button, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './compliance.module.css'
import { FrameworkCard } from './FrameworkCard'
import { byFramework, compare } from './model'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, searchOf, useScope } from '../../app/scope'
import { useMay } from '../../app/session'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'

export default function Compliance() {
  const { t } = useTranslation('compliance')
  const [scope] = useScope()
  const query = api.useQuery('get', '/api/v1/compliance', { params: { query: { target: numbers(scope.target) } } })
  useLive(['task'], ['/api/v1/compliance'])
  const list = byFramework(query.data?.items ?? [])
  const search = searchOf({ target: scope.target, namespace: [] })
  return (
    <Page title={t('title')} lead={t('lead')}>
      {scope.namespace.length > 0 && <Alert type="info" showIcon title={t('wholeClusters')} />}
      {query.error && <Problem error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && (
        <ul className={css.cards} aria-label={t('title')}>
          {[0, 1, 2, 3, 4, 5].map((i) => (
            <li key={i} className={css.card}>
              <Skeleton active paragraph={{ rows: 3 }} />
            </li>
          ))}
        </ul>
      )}
      {query.data && list.length > 0 && (
        <ul className={css.cards} aria-label={t('title')}>
          {list.map((f) => (
            <FrameworkCard key={f.framework} framework={f} search={search} />
          ))}
        </ul>
      )}
      {query.data && list.length === 0 && <None />}
    </Page>
  )
}

// None says what would be judged, and how.
function None() {
  const { t } = useTranslation('compliance')
  const scan = useMay('scan')
  const navigate = useNavigate()
  const known = api.useQuery('get', '/api/v1/frameworks')
  const list = [...(known.data?.items ?? [])].sort(compare)
  return (
    <EmptyState
      title={t('none')}
      hint={
        <>
          <p>{t('noneHint')}</p>
          {list.length > 0 && <p>{t('wouldJudge', { names: list.map((f) => f.title).join(' · ') })}</p>}
        </>
      }
      action={
        scan && (
          <Button type="primary" onClick={() => void navigate({ to: '/scans' })}>
            {t('toScans')}
          </Button>
        )
      }
    />
  )
}
