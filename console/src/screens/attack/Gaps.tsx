import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './AttackPaths.module.css'
import type { Body } from './model'
import { Panel } from '../../parts/Page'

// Gaps says what was not looked at: "no path" is only as good as this list is short.
export function Gaps({ body }: { body: Body }) {
  const { t } = useTranslation('attack')
  if (body.gaps.length === 0) return null
  return (
    <Panel
      title={t('notLooked')}
      extra={
        <Link to="/gaps" search={(s: Record<string, string | undefined>) => ({ target: s.target })}>
          {t('allGaps')}
        </Link>
      }
    >
      <ul className={css.gaps}>
        {body.gaps.map((g, i) => (
          <li key={i}>
            <strong>
              {body.graphs.length > 1 && g.target && g.code !== 'no-graph' ? `${g.target}: ` : ''}
              {g.title}
            </strong>
            <div className={css.soft}>{g.detail}</div>
            {g.code === 'no-graph' && <Link to="/scans">{t('toScans')}</Link>}
          </li>
        ))}
      </ul>
    </Panel>
  )
}
