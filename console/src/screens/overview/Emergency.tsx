import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './overview.module.css'
import { To } from './To'
import { api } from '../../api/client'
import { numbers, searchOf, type Scope } from '../../app/scope'
import { Problem } from '../../parts/Problem'
import { SeverityTag } from '../../parts/Severity'
import { useFormat } from '../../text/format'
import { Standing } from '../emergencies/Standing'
import { newest, standing, sumsOf } from '../emergencies/verdicts'

const most = 5
const rank = ['exposed', 'unknown', 'version-only']

// Emergency lists the emergency vulnerabilities that are or may be here, the exposed ones first. That none is seen is not said without
// what was not looked at.
export function Emergency({ scope }: { scope: Scope }) {
  const { t } = useTranslation('overview')
  const { number } = useFormat()
  const query = api.useQuery('get', '/api/v1/emergencies', { params: { query: { target: numbers(scope.target) } } }, { staleTime: 30_000, placeholderData: (old) => old })
  if (query.error && !query.data) return <Problem error={query.error} retry={() => void query.refetch()} />
  if (!query.data) return <Skeleton active title={false} paragraph={{ rows: 7, width: '100%' }} />
  const search = searchOf({ target: scope.target, namespace: [] })
  const all = (query.data.items ?? []).map((e) => ({ e, sums: sumsOf(e.counts) }))
  const here = all.filter((x) => rank.includes(standing(x.sums))).sort((a, b) => rank.indexOf(standing(a.sums)) - rank.indexOf(standing(b.sums)) || newest(a.e, b.e))
  const unseen = all.filter((x) => x.sums.notLooked > 0 || x.sums.looked === 0).length
  return (
    <>
      {here.length === 0 && <p className={css.soft}>{unseen > 0 ? t('noEmergencyBlind') : t('noEmergency')}</p>}
      <ul className={css.rows}>
        {here.slice(0, most).map(({ e, sums }) => (
          <li key={e.id}>
            <SeverityTag severity={e.severity} />
            <To target={{ to: `/emergencies/${e.id}`, search }} className={css.cut}>
              {e.name || e.id}
            </To>
            <Standing sums={sums} />
          </li>
        ))}
      </ul>
      {here.length > 0 && unseen > 0 && <p className={css.soft}>{t('emergencyUnseen', { count: unseen, number: number(unseen) })}</p>}
      <To target={{ to: '/emergencies', search }}>{t('allEmergency')}</To>
    </>
  )
}
