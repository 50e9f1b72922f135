import type { UseQueryResult } from '@tanstack/react-query'

import type { ListPage, ListQuery } from '../../parts/DataTable'

// once makes a list of the API that has one page fit for a DataTable.
export function once<T>(query: UseQueryResult<ListPage<T>, unknown>): ListQuery<T> {
  const { data, error, isPending, isFetching, refetch, dataUpdatedAt } = query
  return { data: data && { pages: [data] }, error, isPending, isFetching, isFetchingNextPage: false, hasNextPage: false, fetchNextPage: () => undefined, refetch, dataUpdatedAt }
}
