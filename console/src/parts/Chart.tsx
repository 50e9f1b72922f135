import { Skeleton } from 'antd'
import { lazy, Suspense } from 'react'

import type { ChartProps } from './ChartCanvas'

const Canvas = lazy(() => import('./ChartCanvas'))

// Chart draws with ECharts, which is loaded when the first chart is on the screen. label says in words what it shows; the numbers
// must stand elsewhere on the page too, for who does not see the picture.
export function Chart(props: ChartProps) {
  return (
    <Suspense fallback={<Skeleton.Node active style={{ width: '100%', height: props.height }} />}>
      <Canvas {...props} />
    </Suspense>
  )
}
