import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './overview.module.css'
import type { Schemas } from '../../api/client'
import { searchOf, type Scope } from '../../app/scope'
import { useFormat } from '../../text/format'

// Frameworks shows, of the worst frameworks, how many of the decided clauses pass; what rules cannot decide is told beside it.
const most = 6

export function Frameworks({ list, scope }: { list: Schemas['FrameworkSum'][]; scope: Scope }) {
  const { t } = useTranslation('overview')
  const { percent, number } = useFormat()
  if (scope.namespace.length > 0) return <p className={css.soft}>{t('complianceOfWhole')}</p>
  if (list.length === 0) return <p className={css.soft}>{t('noCompliance')}</p>
  const worst = [...list].sort((a, b) => a.score - b.score).slice(0, most)
  return (
    <>
      <ul className={css.bars}>
      {worst.map((f) => (
        <li key={f.framework}>
          <div className={css.barHead}>
            <Link to="/compliance/$framework" params={{ framework: f.framework }} search={searchOf({ target: scope.target, namespace: [] })}>
              {f.framework}
            </Link>
            <span>{f.score < 0 ? t('undecided') : percent(f.score / 100)}</span>
          </div>
          <div className={css.bar} aria-hidden>
            <span style={{ width: `${Math.max(0, f.score)}%` }} />
          </div>
          <div className={css.soft}>
            <Link to="/compliance/$framework" params={{ framework: f.framework }} search={{ ...searchOf({ target: scope.target, namespace: [] }), status: 'fail' }}>
              {t('failing', { count: f.fail, number: number(f.fail) })}
            </Link>
            {' · '}
            {t('byHand', { count: f.manual, number: number(f.manual) })}
          </div>
        </li>
      ))}
    </ul>
      {list.length > most && (
        <Link to="/compliance" search={searchOf({ target: scope.target, namespace: [] })} className={css.more}>
          {t('allFrameworks')}
        </Link>
      )}
    </>
  )
}
