import type { ErrorComponentProps } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { Page } from '../parts/Page'
import { Problem } from '../parts/Problem'

// PageProblem stands in the place of a page that could not be loaded or drawn.
export function PageProblem({ error: cause, reset }: ErrorComponentProps) {
  const { t } = useTranslation('app')
  const error = cause instanceof Error ? cause : new Error(String(cause))
  return (
    <Page title={t('pageFailed')}>
      <Problem error={error} retry={() => (/import|chunk|module/i.test(error.message) ? location.reload() : reset())} />
    </Page>
  )
}
