import { Link } from '@tanstack/react-router'
import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { consentOf } from './what'
import css from './scans.module.css'
import type { Schemas } from '../../api/client'
import { Copy } from '../../parts/Copy'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

type Props = { plan: Schemas['TaskPlan'] | undefined; pending: boolean; error: unknown; retry: () => void }

// PlanView tells before a scan what it reads, and what it creates in the clusters: people consent to that.
export function PlanView({ plan, pending, error, retry }: Props) {
  const { t } = useTranslation('scans')
  const { number } = useFormat()
  if (error) return <Problem error={error} retry={retry} />
  if (!plan) return pending ? <Skeleton active paragraph={{ rows: 6 }} /> : <p className={css.soft}>{t('planFirst')}</p>
  const consent = consentOf(plan)
  return (
    <div aria-busy={pending}>
      <h3>{t('created')}</h3>
      {consent.creates.length === 0 ? (
        <p>{t('createsNothing', { count: consent.clusters, number: number(consent.clusters) })}</p>
      ) : (
        <ul>
          {consent.creates.map((o) => (
            <li key={o.cluster + o.kind + o.name}>
              <code>
                {o.kind} {o.name}
              </code>{' '}
              {t('inCluster', { name: o.cluster })}: {o.why}
            </li>
          ))}
        </ul>
      )}
      {plan.nodes.length > 0 && <Alert type="info" showIcon title={t('nodesAsked', { count: plan.nodes.length, number: number(plan.nodes.length) })} />}
      {!plan.advisoryData && (
        <Alert
          type="warning"
          showIcon
          title={t('noAdvisoryData')}
          description={
            <span className={css.inAlert}>
              <Link to="/settings/$section" params={{ section: 'advisories' }}>
                {t('toAdvisories')}
              </Link>
            </span>
          }
        />
      )}
      {consent.unread > 0 && <Alert type="warning" showIcon title={t('willNotBeReached', { count: consent.unread, number: number(consent.unread) })} />}
      <h3>{t('read')}</h3>
      <div className={css.clusters} tabIndex={0} role="region" aria-label={t('read')}>
        {plan.clusters.map((c) => (
          <ClusterLine key={c.id} cluster={c} />
        ))}
        {plan.more ? <p>{t('moreClusters', { count: plan.more, number: number(plan.more) })}</p> : null}
      </div>
    </div>
  )
}

function ClusterLine({ cluster: c }: { cluster: Schemas['ClusterPlan'] }) {
  const { t } = useTranslation('scans')
  const { number, duration } = useFormat()
  return (
    <div className={css.cluster}>
      <div className={css.row}>
        <strong>{c.name}</strong>
        <span>{t(`reach.${c.kind}`)}</span>
        <span className={c.state === 'unreachable' || c.state === 'refused' ? css.bad : css.soft}>{t(`connection.${c.state}`)}</span>
      </div>
      <div className={`${css.row} ${css.soft}`}>
        <span>
          {t('lastScan')} <When at={c.lookedAt} />
        </span>
        {c.tookMs ? <span>{t('tookLast', { time: duration(c.tookMs) })}</span> : null}
        {c.images > 0 && <span>{t('imagesInUse', { count: c.images, number: number(c.images) })}</span>}
        {c.reads > 0 && <span>{t('kindsRead', { count: c.reads, number: number(c.reads) })}</span>}
      </div>
      {c.reason && c.state !== 'connected' && <div className={css.bad}>{c.reason}</div>}
      {c.taskId && (
        <div>
          <Link to="/tasks/$id" params={{ id: c.taskId }}>
            {t('waitsFor')}
          </Link>
        </div>
      )}
      {c.missing.length > 0 && (
        <details>
          <summary>{t('missing', { count: c.missing.length, number: number(c.missing.length) })}</summary>
          <ul>
            {c.missing.map((m) => (
              <li key={m.group + m.resource + m.verb}>
                <code>
                  {m.verb} {m.resource}
                  {m.group && `.${m.group}`}
                </code>{' '}
                {m.reads}
              </li>
            ))}
          </ul>
          {c.grant && (
            <>
              <pre className={css.pre} tabIndex={0}>
                {c.grant}
              </pre>
              <Copy text={c.grant} label={t('copyGrant')} />
            </>
          )}
        </details>
      )}
      {c.present.length > 0 && (
        <details>
          <summary>{t('present', { count: c.present.length, number: number(c.present.length) })}</summary>
          <ul>
            {c.present.map((o) => (
              <li key={o.kind + o.name}>
                <code>
                  {o.kind} {o.name}
                </code>{' '}
                {o.why}
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  )
}
