import { useParams } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import { useTranslation } from 'react-i18next'

import { NotFound } from '../../app/NotFound'
import { PageSkeleton } from '../../app/PageSkeleton'
import { useProfile, type Action } from '../../app/session'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'

const sections = {
  channels: { body: lazy(() => import('./Channels')), needs: 'manage-schedules' },
  deliveries: { body: lazy(() => import('./Deliveries')), needs: 'manage-schedules' },
  registries: { body: lazy(() => import('./Registries')), needs: 'manage-settings' },
} as const satisfies Record<string, { body: unknown; needs: Action }>

function known(name: string | undefined): name is keyof typeof sections {
  return name !== undefined && Object.hasOwn(sections, name)
}

// Integrations is what the server tells to others, and where it reads images.
export default function Integrations() {
  const { t } = useTranslation('integrations')
  const { section } = useParams({ strict: false })
  const { actions } = useProfile()
  if (!known(section)) return <NotFound />
  const { body: Body, needs } = sections[section]
  return (
    <Page title={t(`title.${section}`)} lead={t(`lead.${section}`)}>
      {actions.includes(needs) ? (
        <Suspense fallback={<PageSkeleton />}>
          <Body key={section} />
        </Suspense>
      ) : (
        <EmptyState title={t('mayNot')} hint={t('mayNotHint')} />
      )}
    </Page>
  )
}
