import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { Problems } from './Problems'
import css from './protection.module.css'
import { SelfTest } from './SelfTest'
import { on, type Health } from './shapes'
import { Webhooks } from './Webhooks'
import { api } from '../../api/client'
import { useMayOn } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'
import { missing, percent, useFormat } from '../../text/format'

const soon = 14 * 86_400_000
const untilEnd = (ends: string) => Date.parse(ends) - Date.now()

// HealthView says how the protection of a cluster does: answers, times, errors, certificates, webhooks, and a test of it.
export default function HealthView({ target }: { target: string }) {
  const { t } = useTranslation('protection')
  const may = useMayOn('manage-policies', target)
  const query = api.useQuery('get', '/api/v1/protection/{target}/health', { params: { path: { target: Number(target) } } }, { refetchInterval: 15_000 })
  const h = query.data
  if (query.error && !h) return <Problem error={query.error} retry={() => void query.refetch()} />
  if (!h) return <Skeleton active paragraph={{ rows: 14 }} />
  if (!on(h.state)) return <Alert type="warning" showIcon title={t('notProtected')} description={t('notProtectedHint')} />
  return (
    <div className={blocks.stack}>
      <Problems list={h.problems} />
      {!missing(h.silentSince) && <Alert type="error" showIcon title={t('health.silent')} description={<When at={h.silentSince} />} />}
      {!missing(h.unreachableSince) && <Alert type="error" showIcon title={t('unreachable')} description={<When at={h.unreachableSince} />} />}
      <div className={blocks.two}>
        <Door title={t('health.provider')} service={h.provider} rate={h.errorRate} />
        <Door title={t('health.recorder')} service={h.recorder} />
      </div>
      {may && (
        <Panel title={t('selfTest.title')}>
          <SelfTest target={target} />
        </Panel>
      )}
      <Panel title={t('health.webhooks')} extra={<span className="text-soft">{t('health.readAt')} <When at={h.seenAt} /></span>}>
        <Webhooks list={h.webhooks} />
      </Panel>
      <Panel title={t('health.replicas')}>
        <Replicas health={h} />
      </Panel>
      <Panel title={t('health.certificates')}>
        <Certificates list={h.certificates} />
      </Panel>
    </div>
  )
}

function Door({ title, service: s, rate }: { title: string; service: Health['provider']; rate?: number }) {
  const { t } = useTranslation('protection')
  const { number } = useFormat()
  const ms = (n: number) => (s.count > 0 ? t('health.ms', { number: number(n, { maximumFractionDigits: n < 10 ? 2 : 0 }) }) : '–')
  const errors = rate ?? (s.count > 0 ? s.errors / s.count : 0)
  return (
    <Panel title={title}>
      <dl className={css.numbers}>
        <div>
          <dt>{t('health.last')}</dt>
          <dd>
            <When at={s.last} />
          </dd>
        </div>
        <div>
          <dt>{t('health.count')}</dt>
          <dd>{number(s.count)}</dd>
        </div>
        <div>
          <dt>p50</dt>
          <dd>{ms(s.p50)}</dd>
        </div>
        <div>
          <dt>p99</dt>
          <dd>{ms(s.p99)}</dd>
        </div>
        <div>
          <dt>{t('health.errors')}</dt>
          <dd className={errors > 0 ? blocks.bad : undefined}>{s.count > 0 ? `${percent(errors)} (${number(s.errors)})` : '–'}</dd>
        </div>
      </dl>
    </Panel>
  )
}

function Replicas({ health: h }: { health: Health }) {
  const { t } = useTranslation('protection')
  const { number, bytes } = useFormat()
  return (
    <div className={blocks.stack}>
      <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('health.plugins')}>
        <table className={blocks.table}>
          <thead>
            <tr>
              <th scope="col">{t('health.plugin')}</th>
              <th scope="col">{t('health.ready')}</th>
              <th scope="col">{t('health.image')}</th>
              <th scope="col">{t('col.reason')}</th>
            </tr>
          </thead>
          <tbody>
            {(h.deployments ?? []).map((d) => (
              <tr key={`${d.namespace}/${d.name}`}>
                <td>{d.name}</td>
                <td>
                  <Verdict state={d.ready >= d.wanted ? 'ok' : d.ready > 0 ? 'warn' : 'bad'} word={`${number(d.ready)} / ${number(d.wanted)}`} />
                </td>
                <td className={blocks.anywhere}>{d.image}</td>
                <td>{d.reason || '–'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('health.replicas')}>
        <table className={blocks.table}>
          <thead>
            <tr>
              <th scope="col">{t('health.replica')}</th>
              <th scope="col">{t('health.word')}</th>
              <th scope="col">{t('health.version')}</th>
              <th scope="col">{t('health.images')}</th>
              <th scope="col">{t('health.memory')}</th>
              <th scope="col">{t('health.times')}</th>
            </tr>
          </thead>
          <tbody>
            {(h.providers ?? []).map((r) => (
              <tr key={r.replica}>
                <td className={blocks.anywhere}>{r.replica}</td>
                <td>
                  <Verdict state={r.alive ? 'ok' : 'bad'} word={r.alive ? t('health.alive') : t('health.away')} /> <When at={r.at} />
                </td>
                <td>{r.version}</td>
                <td>{number(r.images)}</td>
                <td>{bytes(r.memory)}</td>
                <td>{r.provider.count > 0 ? t('health.ms', { number: `${number(r.provider.p50, { maximumFractionDigits: 2 })} / ${number(r.provider.p99, { maximumFractionDigits: 2 })}` }) : '–'}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {(h.providers ?? []).length === 0 && <p className={blocks.bad}>{t('health.noReplica')}</p>}
      </div>
    </div>
  )
}

function Certificates({ list }: { list: Health['certificates'] }) {
  const { t } = useTranslation('protection')
  const { dateTime } = useFormat()
  return (
    <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('health.certificates')}>
      <table className={blocks.table}>
        <thead>
          <tr>
            <th scope="col">{t('certificate.use')}</th>
            <th scope="col">{t('certificate.ends')}</th>
            <th scope="col">{t('certificate.renewed')}</th>
            <th scope="col">{t('certificate.by')}</th>
          </tr>
        </thead>
        <tbody>
          {(list ?? []).map((c) => {
            const left = untilEnd(c.ends)
            return (
              <tr key={c.name}>
                <td>{t(`certificate.name.${c.name}`)}</td>
                <td>
                  <Verdict state={left < 0 ? 'bad' : left < soon ? 'warn' : 'ok'} word={dateTime(c.ends)} />
                </td>
                <td>{missing(c.renewed) ? '–' : <When at={c.renewed} />}</td>
                <td>{c.by}</td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}
