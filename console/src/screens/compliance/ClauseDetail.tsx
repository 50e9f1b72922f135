import { Link } from '@tanstack/react-router'
import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { Attestations } from './Attestations'
import css from './compliance.module.css'
import { EvidenceList } from './EvidenceList'
import type { Story } from './model'
import { AttestedTag, OutcomeTag } from './OutcomeTag'
import { api } from '../../api/client'
import { Problem } from '../../parts/Problem'
import { SeverityTag } from '../../parts/Severity'
import { SlideOver } from '../../parts/SlideOver'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

type Props = { framework: string; clause: string; target: number[] | undefined; onClose: () => void }

// ClauseDetail tells everything of a clause beside the list.
export function ClauseDetail({ framework, clause, target, onClose }: Props) {
  const { t } = useTranslation('compliance')
  const query = api.useQuery('get', '/api/v1/compliance/{framework}/clauses/{clause}', { params: { path: { framework, clause }, query: { target } } })
  const c = query.data
  return (
    <SlideOver open onClose={onClose} title={t('clauseTitle', { clause })}>
      {query.error && <Problem error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Skeleton active paragraph={{ rows: 12 }} />}
      {c && (
        <div className={css.detail}>
          <div>
            <h2>{c.title}</h2>
            <p className={css.soft}>
              {c.frameworkTitle} · {c.section}
            </p>
            {c.controlPlane && <p className={css.soft}>{t('controlPlane')}</p>}
          </div>
          {c.check && <Alert type="info" showIcon title={t('byHand')} description={c.check} />}
          <Verdicts story={c} />
          <EvidenceList story={c} target={target} />
          <Rules story={c} />
          <Attestations story={c} />
        </div>
      )}
    </SlideOver>
  )
}

function Verdicts({ story }: { story: Story }) {
  const { t } = useTranslation('compliance')
  const { number } = useFormat()
  if (story.verdicts.length === 0) return <p>{t('noneHint')}</p>
  return (
    <section>
      <h2>{t('verdicts')}</h2>
      <div className={css.scroll} tabIndex={0} role="region" aria-label={t('verdicts')}>
        <table className={css.table}>
          <thead>
            <tr>
              <th>{t('cluster')}</th>
              <th>{t('verdict')}</th>
              <th className={css.right}>{t('openFindings')}</th>
              <th className={css.right}>{t('accepted')}</th>
              <th>{t('lastJudged')}</th>
            </tr>
          </thead>
          <tbody>
            {story.verdicts.map((v) => (
              <tr key={v.targetId}>
                <td>
                  <Link to="/clusters/$id" params={{ id: v.targetId }}>
                    {v.target}
                  </Link>
                </td>
                <td>
                  <span className={css.tags}>
                    <OutcomeTag outcome={v.outcome} />
                    {v.attestation && <AttestedTag verdict={v.attestation.verdict} />}
                  </span>
                  {v.reason && v.reason !== story.check && <div className={css.soft}>{v.reason}</div>}
                  {v.status === 'fail' && v.open + v.accepted + v.aside === 0 && <div className={css.soft}>{t('goneSince')}</div>}
                  {v.status === 'pass' && v.open > 0 && <div className={css.soft}>{t('newSince')}</div>}
                </td>
                <td className={css.right}>{number(v.open)}</td>
                <td className={css.right}>{number(v.accepted + v.aside)}</td>
                <td>
                  <When at={v.judgedAt} />
                  {v.objects > 0 && <div className={css.soft}>{t('objectsRead', { count: v.objects, number: number(v.objects) })}</div>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {story.moreTargets && <p className={css.soft}>{t('moreTargets')}</p>}
    </section>
  )
}

function Rules({ story }: { story: Story }) {
  const { t } = useTranslation('compliance')
  return (
    <section>
      <h2>{t('rules')}</h2>
      {story.rules.length === 0 && <p>{t('noRules')}</p>}
      {story.rules.length > 0 && <p className={css.soft}>{t('rulesHint')}</p>}
      <ul className={css.evidence}>
        {story.rules.map((r) => {
          const [family = '', rule = ''] = r.rule.split('/')
          return (
            <li key={r.rule}>
              <div className={css.evidenceHead}>
                <SeverityTag severity={r.severity} />
                <Link to="/rules/$family/$rule" params={{ family, rule }}>
                  {r.title}
                </Link>
                <span className={css.soft}>{r.rule}</span>
              </div>
            </li>
          )
        })}
      </ul>
    </section>
  )
}
