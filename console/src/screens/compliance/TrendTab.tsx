import { Segmented, Skeleton, theme } from 'antd'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import css from './compliance.module.css'
import { api, type Schemas } from '../../api/client'
import { Chart } from '../../parts/Chart'
import { EmptyState } from '../../parts/EmptyState'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { useFormat } from '../../text/format'

const spans = ['30', '90', '365']

// changes keeps the days on which something is another than the day before.
export function changes(days: Schemas['VerdictDay'][]): Schemas['VerdictDay'][] {
  return days.filter((d, i) => {
    const b = days[i - 1]
    return d.targets > 0 && (!b || (['targets', 'pass', 'fail', 'manual', 'notApplicable'] as const).some((k) => b[k] !== d[k]))
  })
}

// TrendTab draws verdicts by day, and lists the days of change below.
export function TrendTab({ framework, target }: { framework: string; target: number[] | undefined }) {
  const { t } = useTranslation('compliance')
  const { date, number, percent } = useFormat()
  const { token } = theme.useToken()
  const [search, setSearch] = useUrl()
  const span = spans.find((s) => s === search.days) ?? '30'
  const query = api.useQuery('get', '/api/v1/compliance/{framework}/trend', { params: { path: { framework }, query: { target, days: Number(span) } } })
  const days = useMemo(() => query.data?.items ?? [], [query.data])
  const option = useMemo(() => {
    const bars = (name: string, key: 'pass' | 'fail' | 'manual' | 'notApplicable', color: string) => ({
      name,
      type: 'bar' as const,
      stack: 'verdicts',
      barCategoryGap: '20%',
      color,
      data: days.map((d) => (d.targets > 0 ? d[key] : null)),
    })
    return {
      grid: { left: 44, right: 44, top: 36, bottom: 28 },
      legend: { top: 0, textStyle: { color: token.colorText } },
      tooltip: { trigger: 'axis' as const },
      xAxis: { type: 'category' as const, data: days.map((d) => date(`${d.day}T12:00:00Z`)), axisLabel: { color: token.colorTextSecondary } },
      yAxis: [
        { type: 'value' as const, minInterval: 1, axisLabel: { color: token.colorTextSecondary }, splitLine: { lineStyle: { color: token.colorBorderSecondary } } },
        { type: 'value' as const, min: 0, max: 100, axisLabel: { formatter: '{value}%', color: token.colorTextSecondary }, splitLine: { show: false } },
      ],
      series: [
        bars(t('outcome.pass'), 'pass', token.colorSuccess),
        bars(t('outcome.fail'), 'fail', token.colorError),
        bars(t('outcome.manual'), 'manual', token.colorInfo),
        bars(t('outcome.not-applicable'), 'notApplicable', token.colorTextTertiary),
        { name: t('score'), type: 'line' as const, yAxisIndex: 1, symbol: 'circle', symbolSize: 5, showAllSymbol: true, color: token.colorText, lineStyle: { type: 'dashed' as const }, data: days.map((d) => (d.score < 0 ? null : d.score)) },
      ],
    }
  }, [days, date, t, token])
  const changed = changes(days).reverse()
  return (
    <>
      <div className={css.filters}>
        <Segmented aria-label={t('days')} value={span} options={spans.map((s) => ({ value: s, label: t('lastDays', { count: Number(s) }) }))} onChange={(s) => setSearch({ days: s === '30' ? undefined : s })} />
      </div>
      {query.error && <Problem error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Skeleton.Node active style={{ width: '100%', height: 300 }} />}
      {query.data && changed.length === 0 && <EmptyState title={t('none')} hint={t('noneHint')} />}
      {changed.length > 0 && (
        <>
          <div className={css.card}>
            <Chart label={t('trendLabel', { days: span })} height={300} option={option} />
          </div>
          <section className={css.section}>
            <h2>{t('changes')}</h2>
            <div className={css.scroll} tabIndex={0} role="region" aria-label={t('changes')}>
              <table className={css.table}>
                <thead>
                  <tr>
                    <th>{t('day')}</th>
                    <th className={css.right}>{t('clustersJudged')}</th>
                    <th className={css.right}>{t('outcome.pass')}</th>
                    <th className={css.right}>{t('outcome.fail')}</th>
                    <th className={css.right}>{t('outcome.manual')}</th>
                    <th className={css.right}>{t('outcome.not-applicable')}</th>
                    <th className={css.right}>{t('score')}</th>
                  </tr>
                </thead>
                <tbody>
                  {changed.map((d) => (
                    <tr key={d.day}>
                      <td>{date(`${d.day}T12:00:00Z`)}</td>
                      {[d.targets, d.pass, d.fail, d.manual, d.notApplicable].map((n, i) => (
                        <td key={i} className={css.right}>
                          {number(n)}
                        </td>
                      ))}
                      <td className={css.right}>{d.score < 0 ? t('undecided') : percent(d.score / 100)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            <p className={css.soft}>{t('trendHint')}</p>
          </section>
        </>
      )}
    </>
  )
}
