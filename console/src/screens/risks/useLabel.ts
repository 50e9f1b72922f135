import { useTranslation } from 'react-i18next'

import type { Field, Kind } from './filter'
import type { FacetName, Facets } from './useFacets'
import type { SeverityWord } from '../../parts/Severity'
import { useFormat } from '../../text/format'

// useLabel says a value of the filter in words: names for ids, as far as the counts know them.
export function useLabel(facets?: Facets) {
  const { t } = useTranslation(['risks', 'words'])
  const { dateTime } = useFormat()
  return (field: Field, value: string): string => {
    switch (field) {
      case 'severity':
        return t(`words:severity.${value as SeverityWord}`)
      case 'kind':
        return t(`words:kind.${value as Kind}`)
      case 'status':
        return t(`words:status.${value as 'open'}`)
      case 'kev':
      case 'fixable':
        return value === 'true' ? t('yes') : t('no')
      case 'firstSince':
      case 'firstUntil':
      case 'changedSince':
        return dateTime(value)
      case 'priority':
        return `≥ ${value}`
    }
    const known = facets?.[field as FacetName]?.find((f) => f.value === value)?.label
    if (field === 'rule') return value
    if (field === 'fingerprint') return value.slice(0, 12)
    return known || (field === 'target' || field === 'assignee' || field === 'asset' || field === 'exception' ? `#${value}` : value)
  }
}
