import { BarChart, LineChart, PieChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TooltipComponent } from 'echarts/components'
import { init, use as register, type ECharts } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { theme } from 'antd'
import { useEffect, useRef } from 'react'

register([LineChart, BarChart, PieChart, GridComponent, LegendComponent, TooltipComponent, SVGRenderer])

export type ChartProps = { label: string; height: number; option: Parameters<ECharts['setOption']>[0] }

export default function ChartCanvas({ label, height, option }: ChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const { token } = theme.useToken()
  useEffect(() => {
    const chart = init(box.current, undefined, { renderer: 'svg' })
    chart.setOption({
      textStyle: { fontFamily: token.fontFamily, color: token.colorTextSecondary },
      backgroundColor: 'transparent',
      animation: false,
      ...option,
    })
    const watch = new ResizeObserver(() => chart.resize())
    watch.observe(box.current!)
    return () => {
      watch.disconnect()
      chart.dispose()
    }
  }, [option, token])
  return <div ref={box} role="img" aria-label={label} style={{ width: '100%', height }} />
}
