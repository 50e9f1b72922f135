import { Empty } from 'antd'
import type { ReactNode } from 'react'

// EmptyState says why there is nothing, and what to do next.
export function EmptyState({ title, hint, action }: { title: string; hint?: ReactNode; action?: ReactNode }) {
  return (
    <Empty
      image={Empty.PRESENTED_IMAGE_SIMPLE}
      description={
        <div>
          <strong>{title}</strong>
          {hint && <div>{hint}</div>}
        </div>
      }
    >
      {action}
    </Empty>
  )
}
