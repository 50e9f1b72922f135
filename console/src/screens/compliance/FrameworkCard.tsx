import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './compliance.module.css'
import type { Framework } from './model'
import { VerdictBar } from './VerdictBar'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

const most = 20 // clusters that a card lists

// FrameworkCard shows a framework: its score, the verdicts of all clusters, and of each when there are several.
export function FrameworkCard({ framework: f, search }: { framework: Framework; search: Record<string, string> }) {
  const { t } = useTranslation('compliance')
  const { number, percent } = useFormat()
  const rate = (n: number) => (n < 0 ? t('undecided') : percent(n / 100))
  return (
    <li className={css.card}>
      <div className={css.cardHead}>
        <h2>
          <Link to="/compliance/$framework" params={{ framework: f.framework }} search={search}>
            {f.title}
          </Link>
        </h2>
        <span className={css.score} title={t('scoreHint')}>
          {rate(f.score)}
        </span>
      </div>
      <VerdictBar sum={f} framework={f.framework} search={search} />
      <div className={css.foot}>
        {t('clauses', { count: f.clauses, number: number(f.clauses) })} · {t('clusters', { count: f.clusters.length, number: number(f.clusters.length) })} · {t('judged')} <When at={f.oldest} />
      </div>
      {f.clusters.length > 1 && (
        <details>
          <summary>{t('byCluster')}</summary>
          <ul className={css.clusters}>
            {f.clusters.slice(0, most).map((c) => (
              <li key={c.targetId} className={css.cluster}>
                <div className={css.cardHead}>
                  <Link to="/compliance/$framework" params={{ framework: f.framework }} search={{ target: c.targetId }}>
                    {c.target}
                  </Link>
                  <span>{rate(c.score)}</span>
                </div>
                <VerdictBar sum={c} framework={f.framework} search={{ target: c.targetId }} />
                <div className={css.foot}>
                  {t('judged')} <When at={c.judgedAt} />
                </div>
              </li>
            ))}
          </ul>
          {f.clusters.length > most && (
            <Link to="/compliance/$framework" params={{ framework: f.framework }} search={{ ...search, tab: 'compare' }}>
              {t('allClusters', { number: number(f.clusters.length) })}
            </Link>
          )}
        </details>
      )}
    </li>
  )
}
