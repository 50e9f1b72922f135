import { CloseOutlined } from '@ant-design/icons'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import { chipsOf, without, withImages, type Chip, type Filter } from './filter'
import { useLabel } from './useLabel'
import type { Facets } from './useFacets'
import css from '../../parts/Filter.module.css'
import type { Change } from '../../parts/search'

type Props = { filter: Filter; facets?: Facets; change: (c: Change) => void; clear: () => void }

// Chips show each condition of the filter, and take it away.
export function Chips({ filter, facets, change, clear }: Props) {
  const { t } = useTranslation('risks')
  const label = useLabel(facets)
  const chips = chipsOf(filter)
  if (chips.length === 0) return null
  const text = (c: Chip) => `${t(`field.${c.field}`)}: ${c.field === 'framework' ? `${filter.framework} ${filter.clause}` : label(c.field, c.value)}`
  return (
    <div className={css.chips} role="group" aria-label={t('chosen')}>
      {chips.map((c) => (
        <button key={c.field + c.value} type="button" className={css.chip} onClick={() => change(without(filter, c))} aria-label={t('remove', { what: text(c) })}>
          <span>{text(c)}</span>
          <CloseOutlined aria-hidden />
        </button>
      ))}
      <Button type="link" size="small" onClick={clear}>
        {t('clear')}
      </Button>
      {filter.namespace && !withImages(filter) && <span className={css.note}>{t('namespaceOnly')}</span>}
    </div>
  )
}
