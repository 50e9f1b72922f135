import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { toggled, type Filter } from './filter'
import type { FacetName, Facets } from './useFacets'
import { useLabel } from './useLabel'
import css from '../../parts/Filter.module.css'
import { listOf, type Change } from '../../parts/search'
import { useFormat } from '../../text/format'

type Props = {
  name: Exclude<FacetName, 'kind'>
  filter: Filter
  data: Facets
  change: (c: Change) => void
  always?: readonly string[] // values that stand there without findings too
  only?: string // the one value to offer
  hint?: string
  bare?: boolean // without a frame of its own
}

const few = 7

// FacetGroup is one field of the filter as boxes to tick, with counts.
export function FacetGroup({ name, filter, data, change, always = [], only, hint, bare }: Props) {
  const { t } = useTranslation('risks')
  const { number } = useFormat()
  const [open, setOpen] = useState(false)
  const label = useLabel(data)
  const chosen = listOf(filter[name])
  const counted = data[name] ?? []
  const values = only ? [only] : [...new Set([...(always.length > 0 ? always : chosen), ...counted.map((f) => f.value), ...chosen])]
  if (values.length === 0) return null
  const shown = open ? values : values.slice(0, Math.max(few, always.length))
  const rows = shown.map((value) => {
    const f = counted.find((x) => x.value === value)
    const text = only ? t(`only.${name as 'kev'}`) : label(name, value)
    return (
      <label key={value} className={css.value} title={f?.label || text}>
        <input type="checkbox" checked={chosen.includes(value)} onChange={() => change(toggled(filter, name, value))} />
        <span className={css.text}>{text}</span>
        <span className={css.count}>{(f?.atLeast ? '≥\u2009' : '') + number(f?.count ?? 0)}</span>
      </label>
    )
  })
  if (bare) return <>{rows}</>
  return (
    <fieldset className={css.facet}>
      <legend>{t(`field.${name}`)}</legend>
      {rows}
      {values.length > shown.length && (
        <button type="button" className={css.more} onClick={() => setOpen(true)}>
          {t('moreValues', { count: values.length - shown.length })}
        </button>
      )}
      {hint && <div className={css.note}>{hint}</div>}
    </fieldset>
  )
}
