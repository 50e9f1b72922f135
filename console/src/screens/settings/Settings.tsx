import { Link, useParams } from '@tanstack/react-router'
import { Select } from 'antd'
import { lazy, Suspense, type ComponentType } from 'react'
import { useNavigate } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { mayOpen, sections, type Section } from './sections'
import css from './Settings.module.css'
import { useAppearance } from '../../app/appearance'
import { NotFound } from '../../app/NotFound'
import { PageSkeleton } from '../../app/PageSkeleton'
import { useProfile } from '../../app/session'
import { Page } from '../../parts/Page'

const bodies: Record<Section, ComponentType> = {
  profile: lazy(() => import('./Profile')),
  tokens: lazy(() => import('./Tokens')),
  users: lazy(() => import('./Users')),
  roles: lazy(() => import('./Roles')),
  'sign-in': lazy(() => import('./Providers')),
  audit: lazy(() => import('./Audit')),
  advisories: lazy(() => import('./Advisories')),
  exceptions: lazy(() => import('./ExceptionRules')),
  system: lazy(() => import('./System')),
}

// Settings has a menu at the side; on a phone it is a list to choose from.
export default function Settings() {
  const { t } = useTranslation('settings')
  const { narrow } = useAppearance()
  const { section: name } = useParams({ strict: false })
  const { actions } = useProfile()
  const navigate = useNavigate()
  const open = sections.filter((s) => mayOpen(s, actions))
  const section = open.find((s) => s.name === name)
  if (!section) return <NotFound />
  const Body = bodies[section.name]
  return (
    <Page title={t(`section.${section.name}`)} lead={t(`lead.${section.name}`)}>
      <div className={css.split}>
        {narrow ? (
          <Select
            aria-label={t('menu')}
            value={section.name}
            options={open.map((s) => ({ value: s.name, label: t(`section.${s.name}`) }))}
            onChange={(to) => void navigate({ to: '/settings/$section', params: { section: to } })}
          />
        ) : (
          <Menu open={open} here={section.name} />
        )}
        <div className={css.content}>
          <Suspense fallback={<PageSkeleton />}>
            <Body key={section.name} />
          </Suspense>
        </div>
      </div>
    </Page>
  )
}

function Menu({ open, here }: { open: (typeof sections)[number][]; here: Section }) {
  const { t } = useTranslation('settings')
  return (
    <nav aria-label={t('menu')}>
      <ul className={css.menu}>
        {(['own', 'people', 'server'] as const).map((group) => {
          const list = open.filter((s) => s.group === group)
          if (list.length === 0) return null
          return (
            <li key={group}>
              <h2>{t(`group.${group}`)}</h2>
              {list.map((s) => (
                <Link key={s.name} to="/settings/$section" params={{ section: s.name }} aria-current={s.name === here ? 'page' : undefined}>
                  {t(`section.${s.name}`)}
                </Link>
              ))}
            </li>
          )
        })}
      </ul>
    </nav>
  )
}
