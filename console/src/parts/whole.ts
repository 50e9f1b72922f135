import type { ListQuery } from './DataTable'

type Query<T> = { data?: { items: T[] | null }; error: unknown; isPending: boolean; isFetching: boolean; refetch: () => unknown; dataUpdatedAt: number }

// whole makes of a list that the API gives in one answer what DataTable takes. Such lists refuse the parameter that asks for a page.
export function whole<T>(q: Query<T>): ListQuery<T> {
  return {
    data: q.data && { pages: [q.data] },
    error: q.error,
    isPending: q.isPending,
    isFetching: q.isFetching,
    isFetchingNextPage: false,
    hasNextPage: false,
    fetchNextPage: () => undefined,
    refetch: q.refetch,
    dataUpdatedAt: q.dataUpdatedAt,
  }
}
