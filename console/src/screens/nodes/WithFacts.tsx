import { Skeleton } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import type { Details, NodeFacts } from './shapes'
import { useFacts } from './useFacts'
import { EmptyState } from '../../parts/EmptyState'
import { Problem } from '../../parts/Problem'

// WithFacts shows something of the facts of a node, or why there are none: that is not the same as nothing found.
export function WithFacts({ node: n, children }: { node: Details; children: (facts: NodeFacts) => ReactNode }) {
  const { t } = useTranslation('nodes')
  const facts = useFacts(n)
  if (facts.none) return <EmptyState title={t('noFacts')} hint={t(`todo.${n.state === 'protected' ? 'waiting' : n.state}`)} />
  if (facts.error) return <Problem error={facts.error} retry={() => void facts.refetch()} />
  if (!facts.data) return <Skeleton active title={false} paragraph={{ rows: 10, width: '100%' }} />
  return <>{children(facts.data)}</>
}
