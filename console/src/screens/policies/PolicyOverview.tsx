import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { ActionTag } from './ActionTag'
import { CheckWords } from './CheckWords'
import { scopeWords } from './scopeWords'
import type { Kept } from './shapes'
import { Timeline } from './Timeline'
import { useClusters } from './useClusters'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { Facts } from '../../parts/Facts'
import { Panel } from '../../parts/Page'
import { said } from '../../parts/said'
import { SeverityTag } from '../../parts/Severity'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// PolicyOverview says what a policy is, in words.
export function PolicyOverview({ policy: p }: { policy: Kept }) {
  const { t } = useTranslation('policies')
  const { list, date } = useFormat()
  const clusters = useClusters()
  const rules = api.useQuery('get', '/api/v1/policy-rules', undefined, { staleTime: 300_000 })
  const known = new Map((rules.data?.items ?? []).map((r) => [r.rule, r]))
  return (
    <div className={blocks.stack}>
      <Panel title={t('about')}>
        <Facts
          items={[
            p.description && [t('description'), p.description],
            [t('col.scope'), <ul key="s" className={blocks.list}>{scopeWords(p.scope, t, list, clusters.name).map((w) => <li key={w}>{w}</li>)}</ul>],
            [t('step.rollout'), <Timeline key="t" policy={p} />],
            (p.checks?.length ?? 0) > 0 && [t('unanswered'), t(`unansweredAs.${p.unanswered || 'audit'}`)],
            [t('engine.title'), t(`engine.${p.engine || 'gatekeeper'}`)],
            p.mutate && [t('mutate'), t('mutateHint')],
            [t('created'), <span key="c">{p.createdBy} · <When at={p.createdAt} /></span>],
          ]}
        />
      </Panel>
      {(p.rules?.length ?? 0) > 0 && (
        <Panel title={t('rulesCount', { count: p.rules!.length })}>
          <ul className={blocks.list}>
            {p.rules!.map((u) => {
              const r = known.get(u.rule)
              const [family = '', rule = ''] = u.rule.split('/')
              return (
                <li key={u.rule}>
                  <span className={blocks.row}>
                    <ActionTag action={u.action || p.action} />
                    {r && <SeverityTag severity={r.severity} />}
                    <Link to="/rules/$family/$rule" params={{ family, rule }}>
                      {r?.title ?? u.rule}
                    </Link>
                    {u.params && <code>{said(u.params)}</code>}
                  </span>
                </li>
              )
            })}
          </ul>
        </Panel>
      )}
      {(p.checks?.length ?? 0) > 0 && (
        <Panel title={t('check.title')}>
          <ul className={blocks.list}>
            {p.checks!.map((c, i) => (
              <li key={i}>
                <ActionTag action={c.action || p.action} /> <strong>{t(`check.${c.check}`)}</strong> <CheckWords check={c} />
              </li>
            ))}
          </ul>
        </Panel>
      )}
      {(p.templates?.length ?? 0) > 0 && (
        <Panel title={t('template.own')}>
          <ul className={blocks.list}>
            {p.templates!.map((u) => (
              <li key={u.template}>
                <ActionTag action={u.action || p.action} />{' '}
                <Link to="/protection/templates/$name" params={{ name: u.template }}>
                  {u.template}
                </Link>
              </li>
            ))}
          </ul>
        </Panel>
      )}
      {(p.allowedImages?.length ?? 0) > 0 && (
        <Panel title={t('allowed.title')}>
          <ul className={blocks.list}>
            {p.allowedImages!.map((a, i) => (
              <li key={i}>
                <code>{[a.repository, a.tag && `:${a.tag}`].filter(Boolean).join('') || a.digest}</code>
                {a.tag && a.resolvedDigest && <div className={blocks.hint}>{t('allowed.resolved', { digest: a.resolvedDigest })}</div>}
                {(a.keys?.length ?? 0) > 0 && <div className={blocks.hint}>{t('allowed.signedBy', { names: list(a.keys!.map((k) => k.name)) })}</div>}
                {a.reason && <div>{a.reason}</div>}
                {a.expires && <div className={blocks.hint}>{t('allowed.ends', { date: date(a.expires) })}</div>}
              </li>
            ))}
          </ul>
        </Panel>
      )}
    </div>
  )
}
