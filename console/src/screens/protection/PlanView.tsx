import { Alert, Radio } from 'antd'
import { useTranslation } from 'react-i18next'

import { ObjectTree } from './ObjectTree'
import { PlanPermissions } from './PlanPermissions'
import type { Plan, Settings } from './shapes'
import blocks from '../../parts/Blocks.module.css'
import { Facts } from '../../parts/Facts'
import { useFormat } from '../../text/format'

type Props = { plan: Plan; settings: Settings; change: (s: Settings) => void }

// PlanView is what protecting a cluster takes: what stands against it first, then permissions, what is there, what would be made.
export function PlanView({ plan: p, settings, change }: Props) {
  const { t } = useTranslation('protection')
  const { number, list } = useFormat()
  const stops = p.stops ?? []
  if (!p.reachable) return <Alert type="error" showIcon title={t('plan.unreachable')} description={p.problem} />
  return (
    <div className={blocks.stack}>
      {stops.length > 0 ? (
        <Alert
          type="error"
          showIcon
          title={t('plan.cannot')}
          description={
            <ul>
              {stops.map((s) => (
                <li key={s}>{s}</li>
              ))}
            </ul>
          }
        />
      ) : (
        <Alert type="success" showIcon title={t('plan.can')} />
      )}
      {(p.warnings ?? []).map((w) => (
        <Alert key={w} type="warning" showIcon title={w} />
      ))}
      <Facts
        items={[
          [t('plan.version'), p.version || '–'],
          [t('plan.architectures'), list((p.architectures ?? []).map((a) => `${a.name} (${number(a.count)})`)) || t('plan.noNodes')],
          [t('plan.installs'), p.installs || '–'],
          [t('plan.images'), <ul key="i" className={blocks.list}>{(p.images ?? []).map((i) => <li key={i}><code>{i}</code></li>)}</ul>],
        ]}
      />
      {p.gatekeeper && !p.gatekeeper.ours && <Adopt plan={p} settings={settings} change={change} />}
      <PlanPermissions plan={p} />
      <section aria-label={t('plan.objects', { count: p.objects?.length ?? 0 })} className={blocks.stack}>
        <strong>{t('plan.objects', { count: p.objects?.length ?? 0 })}</strong>
        <ObjectTree list={(p.objects ?? []).map((o) => ({ ...o, part: partOf(o) }))} />
      </section>
    </div>
  )
}

// partOf says for which plug-in an object is, by its name.
function partOf(o: { namespace?: string; name: string; kind: string }): string {
  return /gatekeeper/.test(`${o.namespace ?? ''} ${o.name}`) ? 'gatekeeper' : 'provider'
}

// Adopt asks what to do with a Gatekeeper that is there already. Nothing of it is changed without being told to.
function Adopt({ plan: p, settings, change }: Props) {
  const { t } = useTranslation('protection')
  const g = p.gatekeeper!
  const differences = g.differences ?? []
  return (
    <fieldset className={blocks.group}>
      <legend>{t('adopt.title')}</legend>
      <p>{t('adopt.found', { version: g.version || '?', namespace: g.namespace, by: g.by || t('adopt.somebody') })}</p>
      <Radio.Group value={settings.gatekeeper?.mode ?? ''} onChange={(e) => change({ ...settings, gatekeeper: { ...settings.gatekeeper, mode: e.target.value as 'adopt' } })} className={blocks.stack}>
        <Radio value="adopt" disabled={differences.some((d) => d.stops)}>
          {t('adopt.adopt')}
        </Radio>
        <Radio value="takeover">{t('adopt.takeover')}</Radio>
      </Radio.Group>
      {differences.length > 0 && (
        <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('adopt.differences')}>
          <table className={blocks.table}>
            <thead>
              <tr>
                <th scope="col">{t('adopt.setting')}</th>
                <th scope="col">{t('adopt.is')}</th>
                <th scope="col">{t('adopt.ours')}</th>
                <th scope="col">{t('adopt.effect')}</th>
              </tr>
            </thead>
            <tbody>
              {differences.map((d) => (
                <tr key={d.setting}>
                  <td>
                    <code>{d.setting}</code> {d.stops && <span className={blocks.bad}>{t('adopt.stops')}</span>}
                  </td>
                  <td className={blocks.anywhere}>{d.found}</td>
                  <td className={blocks.anywhere}>{d.wanted}</td>
                  <td>{d.effect}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </fieldset>
  )
}
