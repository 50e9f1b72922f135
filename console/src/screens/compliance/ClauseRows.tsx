import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './compliance.module.css'
import { outcomesOf, type Compared } from './model'
import { OutcomeTag } from './OutcomeTag'
import { useFormat } from '../../text/format'

type Props = { framework: string; section: string; items: Compared[]; open?: string; onOpen: (clause: string) => void; target?: string }

// ClauseRows lists the clauses of a section: verdicts, and the findings behind them as links.
export function ClauseRows({ framework, section, items, open, onOpen, target }: Props) {
  const { t } = useTranslation('compliance')
  const { number } = useFormat()
  const findings = (clause: string, status?: string) => ({ view: 'findings', framework, clause, ...(target ? { target } : {}), ...(status ? { status } : {}) })
  return (
    <div className={css.scroll} tabIndex={0} role="region" aria-label={section}>
      <table className={css.table}>
        <thead>
          <tr>
            <th style={{ width: 150 }}>{t('clause')}</th>
            <th style={{ minWidth: 240 }}>{t('requirement')}</th>
            <th style={{ width: 220 }}>{t('verdict')}</th>
            <th className={css.right} style={{ width: 110 }}>
              {t('openFindings')}
            </th>
            <th className={css.right} style={{ width: 110 }}>
              {t('accepted')}
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((c) => {
            const list = outcomesOf(c)
            return (
              <tr key={c.clause} className={c.clause === open ? css.open : undefined}>
                <td>{c.clause}</td>
                <td>
                  <button type="button" className={css.plain} onClick={() => onOpen(c.clause)}>
                    {c.title}
                  </button>
                </td>
                <td>
                  <span className={css.tags}>
                    {list.length === 0 && <span className={css.soft}>{t('notJudged')}</span>}
                    {list.map((o) => (
                      <OutcomeTag key={o.outcome} outcome={o.outcome} count={list.length > 1 || o.count > 1 ? number(o.count) : undefined} />
                    ))}
                    {c.attested > 0 && <span className={`${css.tag} ${css.attested}`}>{t('attestedIn', { count: c.attested, number: number(c.attested) })}</span>}
                  </span>
                </td>
                <td className={css.right}>
                  {c.open > 0 ? (
                    <Link to="/risks" search={findings(c.clause)} aria-label={t('showOpen', { number: number(c.open), clause: c.clause })}>
                      {number(c.open)}
                    </Link>
                  ) : (
                    number(0)
                  )}
                </td>
                <td className={css.right}>
                  {c.accepted + c.aside > 0 ? (
                    <Link to="/risks" search={findings(c.clause, 'accepted,ignored,marked-fixed')} aria-label={t('showAccepted', { number: number(c.accepted + c.aside), clause: c.clause })}>
                      {number(c.accepted + c.aside)}
                    </Link>
                  ) : (
                    number(0)
                  )}
                </td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}
