import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './scans.module.css'

// Tabs lead from the tasks to the schedules and back: two pages of one thing.
export function Tabs({ here }: { here: 'tasks' | 'schedules' }) {
  const { t } = useTranslation('scans')
  return (
    <nav className={css.tabs} aria-label={t('tabs')}>
      <Link to="/scans" aria-current={here === 'tasks' ? 'page' : undefined}>
        {t('tasks')}
      </Link>
      <Link to="/schedules" aria-current={here === 'schedules' ? 'page' : undefined}>
        {t('schedules')}
      </Link>
    </nav>
  )
}
