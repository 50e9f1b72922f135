import { Link } from '@tanstack/react-router'
import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { useEventColumns } from './useEventColumns'
import { api, type Schemas } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { DataTable, paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page, Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { SeverityTag } from '../../parts/Severity'
import { ActionTag } from '../policies/ActionTag'
import { Timeline } from '../policies/Timeline'

// Why is the page that refusals link to: what the rule is about, what to do, and the latest requests that met it.
export default function Why() {
  const { t } = useTranslation('admission')
  const [url] = useUrl()
  const named = url.rule ?? ''
  const id = /^[1-9][0-9]{0,14}$/.test(url.policy ?? '') ? url.policy! : ''
  const rules = api.useQuery('get', '/api/v1/policy-rules', undefined, { staleTime: 300_000 })
  const policy = api.useQuery('get', '/api/v1/policies/{id}', { params: { path: { id: Number(id) } } }, { enabled: !!id, retry: false })
  const rule = rules.data?.items?.find((r) => r.id === named || r.rule === named || r.rule === `image/${named}`)
  const title = rule?.title ?? (named || t('why.title'))
  return (
    <Page title={title} lead={t('why.lead')} parents={[{ title: t('events'), to: '/protection/events' }]}>
      <Panel title={t('why.rule')}>
        {rules.isPending ? <Skeleton active /> : rules.error ? <Problem error={rules.error} retry={() => void rules.refetch()} /> : rule ? <Rule rule={rule} /> : <p>{t('why.unknown', { rule: named || '–' })}</p>}
      </Panel>
      {id && (
        <Panel title={t('col.policy')}>
          {policy.isPending ? (
            <Skeleton active paragraph={{ rows: 2 }} />
          ) : policy.error ? (
            <p>{t('why.noPolicy')}</p>
          ) : (
            <div className={blocks.stack}>
              <div className={blocks.row}>
                <Link to="/protection/policies/$id" params={{ id }} className={blocks.strong}>
                  {policy.data.name}
                </Link>
                {rule && <ActionTag action={policy.data.rules?.find((r) => r.rule === rule.rule)?.action || policy.data.action} />}
              </div>
              {policy.data.description && <p>{policy.data.description}</p>}
              <Timeline policy={policy.data} />
              <span className={blocks.hint}>{t('why.ask', { who: policy.data.updatedBy })}</span>
            </div>
          )}
        </Panel>
      )}
      <Panel title={t('why.latest')}>
        <Latest policy={id} rule={rule?.rule ?? named} />
      </Panel>
    </Page>
  )
}

function Rule({ rule: r }: { rule: Schemas['PolicyRule'] }) {
  const { t } = useTranslation('admission')
  const [family = '', name = ''] = r.rule.split('/')
  return (
    <div className={blocks.stack}>
      <div className={blocks.row}>
        <SeverityTag severity={r.severity} />
        {r.id && <code>{r.id}</code>}
        {r.id && (
          <Link to="/rules/$family/$rule" params={{ family, rule: name }}>
            {t('why.rulePage')}
          </Link>
        )}
      </div>
      <p>{r.why}</p>
      <strong>{t('fix')}</strong>
      <p>{r.fix}</p>
      <p className={blocks.hint}>
        {t('why.exceptionHint')} <Link to="/exceptions">{t('toExceptions')}</Link>
      </p>
    </div>
  )
}

// Latest are the latest events of the policy and rule, also those that were handled.
function Latest({ policy, rule }: { policy: string; rule: string }) {
  const { t } = useTranslation('admission')
  const columns = useEventColumns()
  const query = api.useInfiniteQuery('get', '/api/v1/admission-events', { params: { query: { policy: policy ? [Number(policy)] : undefined, rule: rule ? [rule] : undefined, sort: '-lastSeen', limit: 50 } } }, paging)
  return <DataTable name="why-events" label={t('why.latest')} query={query} columns={columns} rowKey={(e) => e.id} height="420px" empty={<EmptyState title={t('why.noEvents')} hint={t('why.noEventsHint')} />} />
}
