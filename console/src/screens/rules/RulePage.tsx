import { Link, useParams } from '@tanstack/react-router'
import { Descriptions, Skeleton, Tag } from 'antd'
import { useTranslation } from 'react-i18next'

import { Examples } from './Examples'
import { Mappings } from './Mappings'
import { families, kindName, type FamilyWord } from './model'
import { References } from './References'
import { api, Failed, type Schemas } from '../../api/client'
import { EmptyState } from '../../parts/EmptyState'
import { Page, Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { said } from '../../parts/said'
import { SeverityTag } from '../../parts/Severity'
import { useFormat } from '../../text/format'

// RulePage tells everything about a rule: why it matters, the fix, examples, and where it was found.
export default function RulePage() {
  const { t } = useTranslation('rules')
  const { family = '', rule = '' } = useParams({ strict: false })
  const query = api.useQuery('get', '/api/v1/rules/{family}/{rule}', { params: { path: { family, rule } } })
  const parents = [{ title: t('title'), to: '/rules' }]
  if (query.error instanceof Failed && query.error.status === 404)
    return (
      <Page title={`${family}/${rule}`} parents={parents}>
        <EmptyState title={t('unknownRule')} hint={<Link to="/rules">{t('allRules')}</Link>} />
      </Page>
    )
  const r = query.data
  return (
    <Page title={r?.title ?? `${family}/${rule}`} parents={parents} lead={r && <Lead rule={r} />}>
      {query.error && <Problem error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Skeleton active paragraph={{ rows: 14 }} />}
      {r && (
        <>
          <Panel title={t('why')}>{r.why}</Panel>
          <Panel title={t('fix')}>
            <p style={{ margin: 0 }}>{r.fix}</p>
            {r.repairable && <p style={{ margin: '8px 0 0' }}>{t('repairable')}</p>}
          </Panel>
          <Examples rule={r} />
          <Facts rule={r} />
          <Mappings rule={r} />
          {r.references.length > 0 && (
            <Panel title={t('references')}>
              <References list={r.references} />
            </Panel>
          )}
        </>
      )}
    </Page>
  )
}

function Lead({ rule }: { rule: Schemas['RuleFull'] }) {
  const { t } = useTranslation('rules')
  const { number } = useFormat()
  return (
    <>
      <SeverityTag severity={rule.severity} /> <code>{rule.id}</code> ·{' '}
      {rule.active > 0 ? (
        <Link to="/risks" search={{ view: 'findings', rule: rule.rule }} style={{ textDecoration: 'underline' }}>
          {t('active', { count: rule.active, number: number(rule.active) })}
        </Link>
      ) : (
        t('noActive')
      )}
    </>
  )
}

function Facts({ rule }: { rule: Schemas['RuleFull'] }) {
  const { t } = useTranslation('rules')
  const family = families.includes(rule.family as FamilyWord) ? t(`families.${rule.family as FamilyWord}`) : rule.family
  const params = Object.entries(rule.params)
  return (
    <Panel title={t('about')}>
      <Descriptions
        size="small"
        column={{ xs: 1, md: 2 }}
        items={[
          { key: 'name', label: t('name'), children: <code>{rule.rule}</code> },
          { key: 'family', label: t('family'), children: <Link to="/rules" search={{ family: rule.family }}>{family}</Link> },
          { key: 'kinds', label: t('looksAt'), children: <span>{rule.kinds.map((k) => <Tag key={k} title={k}>{kindName(k)}</Tag>)}</span> },
          { key: 'targets', label: t('runsOn'), children: rule.targets.length > 0 ? rule.targets.map((x) => t(`targets.${x as 'cluster'}`)).join(', ') : t('targets.everywhere') },
          ...(rule.missing ? [{ key: 'missing', label: t('missing'), children: t(`missingIs.${rule.missing}`) }] : []),
          ...(params.length > 0
            ? [
                {
                  key: 'params',
                  label: t('params'),
                  span: 'filled' as const,
                  children: (
                    <span style={{ overflowWrap: 'anywhere' }}>
                      {params.map(([name, value]) => (
                        <div key={name}>
                          <code>{name}</code>: {said(value, 400)}
                        </div>
                      ))}
                    </span>
                  ),
                },
              ]
            : []),
        ]}
      />
    </Panel>
  )
}
