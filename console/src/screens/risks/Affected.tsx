import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './Finding.module.css'
import { api, type Schemas } from '../../api/client'
import { useFormat } from '../../text/format'

type Props = { finding: Schemas['FindingFull']; H: 'h2' | 'h3' }

const few = 8

// Affected lists what runs the image that a finding is on, and how often the same was found elsewhere.
export function Affected({ finding: f, H }: Props) {
  const { t } = useTranslation('risks')
  const { number } = useFormat()
  const [all, setAll] = useState(false)
  const workloads = f.document.resource.workloads ?? []
  const same = api.useQuery('get', '/api/v1/findings', { params: { query: { rule: f.rule, limit: 1 } } })
  const shown = all ? workloads : workloads.slice(0, few)
  const total = same.data?.total ?? 0
  return (
    <section>
      <H>{t('affected')}</H>
      {workloads.length > 0 && (
        <ul>
          {shown.map((w) => (
            <li key={`${w.kind}/${w.namespace ?? ''}/${w.name}`}>
              {w.kind} {w.namespace ? `${w.namespace} / ` : ''}
              <Link to="/risks" search={{ target: f.targetId, workload: w.name, view: 'findings' }}>
                {w.name}
              </Link>
            </li>
          ))}
        </ul>
      )}
      {workloads.length > shown.length && (
        <button type="button" className={css.more} onClick={() => setAll(true)}>
          {t('moreValues', { count: workloads.length - shown.length })}
        </button>
      )}
      <p className={css.same}>
        {same.data && total > 1 ? (
          <Link to="/risks" search={{ rule: f.rule, view: 'findings' }}>
            {same.data.totalIsAtLeast ? t('sameAtLeast', { number: number(total) }) : t('same', { count: total, number: number(total) })}
          </Link>
        ) : (
          same.data && t('onlyOne')
        )}
        {same.data && total > 1 && (
          <>
            {' · '}
            <Link to="/risks" search={{ rule: f.rule, view: 'assets', by: 'workload' }}>
              {t('affectedWorkloads')}
            </Link>
          </>
        )}
      </p>
    </section>
  )
}
