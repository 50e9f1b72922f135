import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './compliance.module.css'
import type { Sum } from './model'
import { signs } from './OutcomeTag'
import { useFormat } from '../../text/format'

type Props = { sum: Sum; framework: string; search: Record<string, string> }

// VerdictBar shows verdicts as a bar and in words; each number leads to the clauses that it counts.
export function VerdictBar({ sum, framework, search }: Props) {
  const { t } = useTranslation('compliance')
  const { number } = useFormat()
  const parts = [
    { key: 'pass', n: sum.pass, bar: css.barPass },
    { key: 'fail', n: sum.fail - sum.accepted, bar: css.barFail },
    { key: 'fail-accepted', n: sum.accepted, bar: css.barHeld },
    { key: 'manual', n: sum.manual, bar: css.barManual },
    { key: 'not-applicable', n: sum.notApplicable, bar: css.barNone },
  ] as const
  const numbers = [
    { key: 'pass', n: sum.pass, more: '' },
    { key: 'fail', n: sum.fail, more: sum.accepted > 0 ? t('ofThemAccepted', { number: number(sum.accepted) }) : '' },
    { key: 'manual', n: sum.manual, more: sum.attested > 0 ? t('ofThemAttested', { number: number(sum.attested) }) : '' },
    { key: 'not-applicable', n: sum.notApplicable, more: '' },
  ] as const
  return (
    <>
      <div className={css.bar} aria-hidden>
        {parts.map((p) => p.n > 0 && <span key={p.key} className={p.bar} style={{ flexGrow: p.n }} />)}
      </div>
      <ul className={css.numbers}>
        {numbers.map(({ key, n, more }) => (
          <li key={key}>
            <span className={css.sign} aria-hidden>
              {signs[key]}
            </span>
            {n > 0 ? (
              <Link to="/compliance/$framework" params={{ framework }} search={{ ...search, status: key }}>
                {t(`outcome.${key}`)}: {number(n)}
                {more && ` ${more}`}
              </Link>
            ) : (
              <span className={css.soft}>
                {t(`outcome.${key}`)}: {number(n)}
              </span>
            )}
          </li>
        ))}
      </ul>
    </>
  )
}
