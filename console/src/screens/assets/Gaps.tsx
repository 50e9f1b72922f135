import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { codes, codesOf, GapTable } from './GapTable'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, useScope } from '../../app/scope'
import { Choice } from '../../parts/Choice'
import { Page } from '../../parts/Page'
import { listOf, useUrl } from '../../parts/search'
import { useFormat } from '../../text/format'

// Gaps is the page of what was not scanned: by code, with what to do.
export default function Gaps() {
  const { t } = useTranslation('assets')
  const { t: word } = useTranslation('words')
  const { number } = useFormat()
  const [url, setUrl] = useUrl()
  const [scope] = useScope()
  useLive(['task'], ['/api/v1/gaps', '/api/v1/overview'])
  const target = numbers(scope.target)
  const overview = api.useQuery('get', '/api/v1/overview', { params: { query: { target } } })
  const counts = overview.data?.coverage.gaps ?? {}
  const chosen = codesOf(listOf(url.code))
  return (
    <Page title={t('gaps')} lead={t('gapsLead')}>
      <ul className={css.chips} aria-label={t('columns.code')}>
        {codes.map((c) => {
          const n = counts[c] ?? 0
          if (n === 0 && !chosen.includes(c)) return null
          return (
            <li key={c}>
              <Link to="/gaps" search={{ ...(url.target ? { target: url.target } : {}), code: c }} aria-current={chosen.length === 1 && chosen[0] === c ? 'true' : undefined}>
                {word(`gap.${c}`)}: {number(n)}
              </Link>
            </li>
          )
        })}
      </ul>
      <div className={css.filters} role="search">
        <Choice label={t('columns.code')} value={chosen} options={codes.map((c) => ({ value: c, label: word(`gap.${c}`) }))} onChange={(code) => setUrl({ code })} width={320} />
      </div>
      {chosen.length === 1 && (
        <p className={css.advice}>
          <strong>{word(`gap.${chosen[0]!}`)}.</strong> {t(`todo.${chosen[0]!}`)}
          {chosen[0] === 'no-advisory-data' && (
            <>
              {' '}
              <Link to="/settings/$section" params={{ section: 'advisories' }}>
                {t('toAdvisories')}
              </Link>
            </>
          )}
        </p>
      )}
      <GapTable target={target} code={chosen} />
    </Page>
  )
}
