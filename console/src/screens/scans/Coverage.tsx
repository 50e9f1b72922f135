import { Link } from '@tanstack/react-router'
import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './scans.module.css'
import { api } from '../../api/client'
import { numbers, searchOf, useScope } from '../../app/scope'
import { useFormat } from '../../text/format'

const codes = ['no-advisory-data', 'forbidden', 'unreachable', 'limit', 'broken', 'unsupported', 'skipped', 'managed'] as const
// Nobody can do anything about these.
const harmless = ['unsupported', 'skipped', 'managed']

// Coverage says what the last scans could not look at, so that few findings do not pass for few problems.
export function Coverage() {
  const { t } = useTranslation(['scans', 'words'])
  const { number } = useFormat()
  const [scope] = useScope()
  const { data, isPending } = api.useQuery('get', '/api/v1/overview', { params: { query: { target: numbers(scope.target) } } })
  if (isPending) return <Skeleton.Node active style={{ width: '100%', height: 40 }} />
  if (!data) return null
  const { gaps, never, old, targets } = data.coverage
  const told = codes.filter((c) => (gaps[c] ?? 0) > 0)
  const quiet = never + old === 0 && told.every((c) => harmless.includes(c))
  return (
    <Alert
      type={targets > 0 && told.length === 0 && quiet ? 'success' : quiet ? 'info' : 'warning'}
      showIcon
      title={
        <span className={`${css.row} ${css.inAlert}`}>
          <span>{t('coverage')}</span>
          {never > 0 && <Link to="/assets/clusters">{t('never', { count: never, number: number(never) })}</Link>}
          {old > 0 && <Link to="/assets/clusters">{t('old', { count: old, number: number(old) })}</Link>}
          {told.map((c) => (
            <Link key={c} to="/gaps" search={{ ...searchOf({ ...scope, namespace: [] }), code: c }}>
              {t('gapCount', { name: t(`words:gap.${c}`), number: number(gaps[c] ?? 0) })}
            </Link>
          ))}
          {told.length === 0 && quiet && <span>{targets > 0 ? t('covered') : t('nothingYet')}</span>}
        </span>
      }
    />
  )
}
