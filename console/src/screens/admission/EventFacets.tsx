import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { actions, kinds, states, toggled, type Filter } from './filter'
import type { Schemas } from '../../api/client'
import css from '../../parts/Filter.module.css'
import { listOf, type Change } from '../../parts/search'
import { useFormat } from '../../text/format'

type Props = { filter: Filter; summary?: Schemas['AdmissionSummary']; change: (c: Change) => void }
type Value = { value: string; text: string; count?: number }

const most = 8

// EventFacets are what the list can be narrowed to, with how many events there are of each.
export function EventFacets({ filter, summary, change }: Props) {
  const { t } = useTranslation('admission')
  const { number } = useFormat()
  if (!summary) return <Skeleton active title={false} paragraph={{ rows: 16 }} />
  const counted = (list: Schemas['AdmissionCount'][] | null | undefined, field: 'policy' | 'rule' | 'namespace' | 'target'): Value[] => {
    const all = (list ?? []).map((c) => ({ value: c.id, text: c.title || c.name || c.id, count: c.events }))
    const chosen = listOf(filter[field]).filter((v) => !all.some((a) => a.value === v))
    return [...all.slice(0, most), ...all.slice(most).filter((a) => listOf(filter[field]).includes(a.value)), ...chosen.map((v) => ({ value: v, text: v }))]
  }
  const group = (field: 'kind' | 'state' | 'action' | 'policy' | 'rule' | 'namespace' | 'target', values: Value[]) =>
    values.length > 0 && (
      <fieldset className={css.facet}>
        <legend>{t(`field.${field}`)}</legend>
        {values.map((v) => (
          <label key={v.value} className={css.value} title={v.text}>
            <input type="checkbox" checked={listOf(filter[field]).includes(v.value)} onChange={() => change(toggled(filter, field, v.value))} />
            <span className={css.text}>{v.text}</span>
            {v.count !== undefined && <span className={css.count}>{number(v.count)}</span>}
          </label>
        ))}
      </fieldset>
    )
  return (
    <div className={css.facets}>
      {group('state', states.map((s) => ({ value: s, text: t(`state.${s}`), count: summary.byState[s] ?? 0 })))}
      {group('kind', kinds.map((k) => ({ value: k, text: t(`kind.${k}`), count: summary.byKind[k] ?? 0 })))}
      {group('action', actions.map((a) => ({ value: a, text: t(`action.${a}`), count: summary.byAction[a] ?? 0 })))}
      {group('policy', counted(summary.policies, 'policy'))}
      {group('rule', counted(summary.rules, 'rule'))}
      {group('target', counted(summary.clusters, 'target'))}
      {group('namespace', counted(summary.namespaces, 'namespace'))}
    </div>
  )
}
