import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import css from './overview.module.css'
import type { Schemas } from '../../api/client'
import { useAppearance } from '../../app/appearance'
import { variablesOf } from '../../app/theme'
import { Chart } from '../../parts/Chart'
import { severities } from '../../parts/Severity'
import { useFormat } from '../../text/format'

const height = 240

// Trend draws the active findings of the last days; the same numbers stand in a table below.
export function Trend({ days, part }: { days: Schemas['Day'][]; part: boolean }) {
  const { t } = useTranslation('overview')
  const { t: word } = useTranslation('words')
  const { number, date } = useFormat()
  const { mode } = useAppearance()
  const option = useMemo(() => {
    const colour = variablesOf(mode)
    return {
      grid: { left: 48, right: 12, top: 32, bottom: 24 },
      tooltip: { trigger: 'axis' as const, backgroundColor: colour['--panel'], borderColor: colour['--line'], textStyle: { color: colour['--text'] } },
      legend: { top: 0, left: 0, textStyle: { color: colour['--text'] }, icon: 'roundRect' },
      xAxis: { type: 'category' as const, boundaryGap: false, data: days.map((d) => date(d.day + 'T00:00:00')), axisLabel: { color: colour['--text-soft'] }, axisLine: { lineStyle: { color: colour['--line'] } } },
      yAxis: { type: 'value' as const, minInterval: 1, axisLabel: { color: colour['--text-soft'] }, splitLine: { lineStyle: { color: colour['--line'] } } },
      series: [...severities].reverse().map((s) => ({
        name: word(`severity.${s}`),
        type: 'line' as const,
        stack: 'all',
        symbol: 'none',
        lineStyle: { width: 1 },
        areaStyle: { opacity: 0.55 },
        color: colour[`--${s}`],
        data: days.map((d) => d[s]),
      })),
    }
  }, [days, mode, word, date])
  if (part || days.length === 0) return <p className={css.soft}>{t('trendOfWhole')}</p>
  const first = days[0]!
  const last = days[days.length - 1]!
  const sum = (d: Schemas['Day']) => severities.reduce((n, s) => n + d[s], 0)
  const label = t('trendLabel', { days: days.length, from: number(sum(first)), to: number(sum(last)) })
  return (
    <>
      <Chart label={label} height={height} option={option} />
      <p className={css.soft}>{label}</p>
      <details className={css.numbers}>
        <summary>{t('numbers')}</summary>
        <div className={css.scroll} tabIndex={0} role="region" aria-label={t('numbers')}>
          <table className={css.kinds}>
            <thead>
              <tr>
                <th scope="col">{t('day')}</th>
                {severities.map((s) => (
                  <th key={s} scope="col">
                    {word(`severity.${s}`)}
                  </th>
                ))}
                <th scope="col">{t('opened')}</th>
                <th scope="col">{t('closed')}</th>
              </tr>
            </thead>
            <tbody>
              {[...days].reverse().map((d) => (
                <tr key={d.day}>
                  <th scope="row">{date(d.day + 'T00:00:00')}</th>
                  {severities.map((s) => (
                    <td key={s}>{number(d[s])}</td>
                  ))}
                  <td>{number(d.opened)}</td>
                  <td>{number(d.closed)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  )
}
