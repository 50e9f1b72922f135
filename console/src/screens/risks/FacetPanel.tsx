import { Button, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { FacetGroup } from './FacetGroup'
import { severityWords, statuses, toggled, type Filter } from './filter'
import type { useFacets } from './useFacets'
import css from '../../parts/Filter.module.css'
import { Problem } from '../../parts/Problem'
import type { Change } from '../../parts/search'

type Props = { filter: Filter; facets: ReturnType<typeof useFacets>; change: (c: Change) => void }

const days = [1, 7, 30] as const

// ago is the minute that was so many days before now.
function ago(count: number): string {
  return new Date(Date.now() - count * 86_400_000).toISOString().slice(0, 16) + ':00Z'
}

// FacetPanel shows what the filter can be narrowed to, each value with how many findings it would leave.
export function FacetPanel({ filter, facets, change }: Props) {
  const { t } = useTranslation('risks')
  if (facets.error) return <Problem error={facets.error} retry={() => void facets.refetch()} />
  const data = facets.data
  if (!data) return <Skeleton active title={false} paragraph={{ rows: 16 }} />
  const group = { filter, data, change }
  return (
    <div className={css.facets}>
      <FacetGroup {...group} name="severity" always={severityWords} />
      <FacetGroup {...group} name="status" always={statuses.slice(0, 3)} hint={filter.status ? undefined : t('activeOnly')} />
      <fieldset className={css.facet}>
        <legend>{t('marks')}</legend>
        {(['kev', 'fixable'] as const).map((name) => (
          <FacetGroup key={name} {...group} name={name} bare only="true" />
        ))}
      </fieldset>
      <fieldset className={css.facet}>
        <legend>{t('field.firstSince')}</legend>
        <div className={css.since}>
          {days.map((n) => (
            <Button key={n} size="small" onClick={() => change({ firstSince: ago(n) })}>
              {t('lastDays', { count: n })}
            </Button>
          ))}
        </div>
      </fieldset>
      <FacetGroup {...group} name="target" />
      <FacetGroup {...group} name="namespace" />
      <FacetGroup {...group} name="rule" />
      <FacetGroup {...group} name="package" />
      <FacetGroup {...group} name="assignee" />
      {filter.priority === undefined && (
        <fieldset className={css.facet}>
          <legend>{t('field.priority')}</legend>
          <div className={css.since}>
            {[50, 70, 90].map((n) => (
              <Button key={n} size="small" onClick={() => change(toggled(filter, 'priority', String(n)))}>
                ≥ {n}
              </Button>
            ))}
          </div>
        </fieldset>
      )}
    </div>
  )
}
