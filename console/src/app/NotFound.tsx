import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { EmptyState } from '../parts/EmptyState'
import { Page } from '../parts/Page'

export function NotFound() {
  const { t } = useTranslation('app')
  return (
    <Page title={t('notFound')}>
      <EmptyState title={t('notFound')} hint={t('notFoundHint')} action={<Link to="/">{t('toOverview')}</Link>} />
    </Page>
  )
}
