import { Link } from '@tanstack/react-router'
import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './Exceptions.module.css'
import { api, type Schemas } from '../../api/client'
import { Problem } from '../../parts/Problem'
import { SeverityCounts } from '../../parts/Severity'
import { useFormat } from '../../text/format'

type Draft = Schemas['Draft']

// EffectView shows what an exception would accept now, before it is asked for.
export function EffectView({ draft }: { draft: Draft }) {
  const { t } = useTranslation('exceptions')
  const query = api.useQuery('post', '/api/v1/exceptions/preview', { body: draft }, { retry: false, staleTime: 10_000 })
  return (
    <section aria-live="polite" aria-label={t('effect')} className={css.effect}>
      {query.error ? <Problem error={query.error} title={t('noEffect')} /> : query.data ? <Effect effect={query.data} /> : <Skeleton active title={false} paragraph={{ rows: 2 }} />}
    </section>
  )
}

// Effect tells what an exception accepts, by cluster.
export function Effect({ effect: e }: { effect: Schemas['Effect'] }) {
  const { t } = useTranslation('exceptions')
  const { number } = useFormat()
  const many = e.targets.length > 1
  return (
    <Alert
      type={e.findings === 0 ? 'warning' : many ? 'warning' : 'info'}
      showIcon
      title={
        <>
          {e.complete ? t('accepts', { count: e.findings, number: number(e.findings) }) : t('acceptsAtLeast', { number: number(e.findings) })} {e.findings > 0 && <SeverityCounts counts={e.severity} />}
        </>
      }
      description={
        <>
          {(e.admission ?? []).map((note) => (
            <p key={note}>{note}</p>
          ))}
          {e.findings === 0 ? (
            t('acceptsNothing')
          ) : (
            <ul className={css.targets}>
              {e.targets.slice(0, 8).map((x) => (
                <li key={x.targetId}>
                  <Link to="/risks" search={{ target: x.targetId, view: 'findings' }}>
                    {x.name}
                  </Link>{' '}
                  {number(x.findings)}
                </li>
              ))}
              {e.targets.length > 8 && <li>{t('moreClusters', { count: e.targets.length - 8 })}</li>}
            </ul>
          )}
        </>
      }
    />
  )
}
