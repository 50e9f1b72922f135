import { useTranslation } from 'react-i18next'

import type { Report } from './model'
import css from './reports.module.css'
import { ResultDownload } from './ResultDownload'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// LastResult says what became of a report the last time.
export function LastResult({ report: r }: { report: Report }) {
  const { t } = useTranslation('reports')
  const { number } = useFormat()
  if (r.running) return <span role="status">{t('running')}</span>
  if (!r.last) return <span className={css.soft}>{t('never')}</span>
  return (
    <>
      <When at={r.last.finishedAt} />
      {r.last.error ? (
        <div className={css.bad}>{t('failed', { why: r.last.error })}</div>
      ) : (
        <div>
          <span className={css.soft}>{t('findings', { count: r.last.findings, number: number(r.last.findings) })}</span> <ResultDownload report={r} result={r.last} />
        </div>
      )}
    </>
  )
}
