import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { searchOf, viewOf, type Report } from './model'
import css from './reports.module.css'
import { useViews } from './useViews'
import { api } from '../../api/client'

// About says what a report is on, as a link to it, with its form and language.
export function About({ report: r }: { report: Report }) {
  const { t } = useTranslation('reports')
  const views = useViews()
  const known = api.useQuery('get', '/api/v1/frameworks', undefined, { staleTime: Infinity, enabled: !!r.framework })
  const target = r.filter.targets?.join(',')
  const view = viewOf(r.filter, views)
  return (
    <>
      {r.framework ? (
        <Link to="/compliance/$framework" params={{ framework: r.framework }} search={target ? { target } : {}}>
          {known.data?.items?.find((f) => f.framework === r.framework)?.title ?? r.framework}
        </Link>
      ) : (
        <Link to="/risks" search={searchOf(r.filter)}>
          {view === '' ? t('allActive') : view ? t('savedView', { name: view }) : t('ownFilter')}
        </Link>
      )}
      <div className={css.soft}>
        {r.form.toUpperCase()} · {r.language === 'zh' ? '简体中文' : 'English'}
        {r.filter.targets && ` · ${t('someClusters', { count: r.filter.targets.length })}`}
      </div>
    </>
  )
}
