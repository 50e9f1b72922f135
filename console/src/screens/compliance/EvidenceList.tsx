import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './compliance.module.css'
import type { Story } from './model'
import { SeverityTag } from '../../parts/Severity'
import { useFormat } from '../../text/format'

type Evidence = Story['evidence'][number]

// valueOf writes a value of evidence: nothing is told as such.
export function valueOf(value: unknown, none: string): string {
  if (value === null || value === undefined) return none
  return typeof value === 'string' ? value || '""' : JSON.stringify(value)
}

function nameOf(o: Evidence['object']): string {
  const name = o.namespace ? `${o.namespace}/${o.name}` : o.name
  return [o.kind, name, o.container && `(${o.container})`].filter(Boolean).join(' ')
}

// EvidenceList shows what the clause fails by: the worst findings, and the way to all of them.
export function EvidenceList({ story, target }: { story: Story; target: number[] | undefined }) {
  const { t } = useTranslation('compliance')
  const { number } = useFormat()
  const total = story.totals.open + story.totals.accepted + story.totals.aside
  const search = (status?: string) => ({ view: 'findings', framework: story.framework, clause: story.clause, ...(target ? { target: target.join(',') } : {}), ...(status ? { status } : {}) })
  if (total === 0) return null
  return (
    <section>
      <h2>{t('evidence')}</h2>
      <p>
        {story.totals.open > 0 && (
          <Link to="/risks" search={search()}>
            {t('allOpen', { count: story.totals.open, number: number(story.totals.open) })}
          </Link>
        )}
        {story.totals.open > 0 && story.totals.accepted + story.totals.aside > 0 && ' · '}
        {story.totals.accepted + story.totals.aside > 0 && (
          <Link to="/risks" search={search('accepted,ignored,marked-fixed')}>
            {t('allAccepted', { count: story.totals.accepted + story.totals.aside, number: number(story.totals.accepted + story.totals.aside) })}
          </Link>
        )}
      </p>
      <ul className={css.evidence}>
        {story.evidence.map((e) => (
          <EvidenceItem key={e.id} item={e} clusters={story.verdicts.length} />
        ))}
      </ul>
      {story.evidence.length < total && <p className={css.soft}>{t('worst', { number: number(story.evidence.length), total: number(total) })}</p>}
    </section>
  )
}

function EvidenceItem({ item: e, clusters }: { item: Evidence; clusters: number }) {
  const { t } = useTranslation('compliance')
  const { t: word } = useTranslation('words')
  const first = e.evidence?.[0]
  return (
    <li>
      <div className={css.evidenceHead}>
        <SeverityTag severity={e.severity} />
        <Link to="/findings/$id" params={{ id: e.id }}>
          {e.title}
        </Link>
        {!['open', 'reopened', 'unseen'].includes(e.status) && <span className={`${css.tag} ${css['fail-accepted']}`}>{word(`status.${e.status as 'accepted'}`)}</span>}
        {e.status === 'unseen' && <span className={`${css.tag} ${css['not-applicable']}`}>{word('status.unseen')}</span>}
      </div>
      <dl className={css.values}>
        <dt>{t('object')}</dt>
        <dd>
          {nameOf(e.object)}
          {clusters > 1 && ` · ${e.target}`}
        </dd>
        {first?.path && (
          <>
            <dt>{t('path')}</dt>
            <dd>
              <code>{first.path}</code>
            </dd>
            <dt>{t('found')}</dt>
            <dd>
              <code>{valueOf(first.found, t('notSet'))}</code>
              {first.want !== undefined && first.want !== null && (
                <>
                  {' '}
                  {t('wanted')} <code>{valueOf(first.want, t('notSet'))}</code>
                </>
              )}
            </dd>
          </>
        )}
        {e.acceptedReason && (
          <>
            <dt>{t('acceptedBecause')}</dt>
            <dd>{e.acceptedReason}</dd>
          </>
        )}
      </dl>
      <Link to="/findings/$id" params={{ id: e.id }} aria-label={t('fixOf', { title: e.title })}>
        {t('fix')}
      </Link>
    </li>
  )
}
