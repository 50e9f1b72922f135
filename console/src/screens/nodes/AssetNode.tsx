import { Navigate, useParams } from '@tanstack/react-router'
import { Skeleton } from 'antd'
import { lazy, Suspense } from 'react'

import { api } from '../../api/client'

const Plain = lazy(() => import('../assets/NodePage'))

// AssetNode sends the page of a node as findings know it on to its own page. A node that only the findings know stays with them.
export default function AssetNode() {
  const { id = '' } = useParams({ strict: false })
  const asset = Number(id)
  const query = api.useQuery('get', '/api/v1/nodes', { params: { query: { asset, limit: 1 } } }, { enabled: asset > 0, retry: false })
  const node = query.data?.items?.[0]
  if (node) return <Navigate to="/nodes/$id" params={{ id: node.id }} replace />
  const wait = <Skeleton active paragraph={{ rows: 14 }} />
  if (query.isPending && asset > 0) return wait
  return (
    <Suspense fallback={wait}>
      <Plain />
    </Suspense>
  )
}
