import { keepPreviousData } from '@tanstack/react-query'

import { queryOf, type Filter } from './filter'
import { api, type Schemas } from '../../api/client'

export type Facets = Schemas['FacetsBody']
export type FacetName = Exclude<keyof Facets, '$schema'>

// useFacets counts what other choices of the filter would select.
export function useFacets(filter: Filter) {
  return api.useQuery('get', '/api/v1/findings/facets', { params: { query: queryOf(filter) } }, { placeholderData: keepPreviousData })
}
