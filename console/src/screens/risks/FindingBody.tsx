import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { Affected } from './Affected'
import { Badges } from './Badges'
import { Evidence } from './Evidence'
import { Facts } from './Facts'
import css from './Finding.module.css'
import { History } from './History'
import { Holding } from './Holding'
import { external, rulePage } from './links'
import { Place } from './Place'
import { Reasons } from './Reasons'
import { StatusTag } from './StatusTag'
import { Why } from './Why'
import type { Schemas } from '../../api/client'
import { SeverityTag } from '../../parts/Severity'

type Finding = Schemas['FindingFull']

// FindingBody is all that is known of a finding: beside the list with the title as a heading of its own, on the page below the page's.
export function FindingBody({ finding: f, heading }: { finding: Finding; heading?: 2 }) {
  const { t } = useTranslation('risks')
  const H = heading ? 'h3' : 'h2'
  const d = f.document
  return (
    <article className={css.body}>
      <header className={css.head}>
        {heading && <h2 className={css.title}>{f.title}</h2>}
        <div className={css.line}>
          <SeverityTag severity={f.severity} />
          <StatusTag status={f.status} />
          <Badges kev={f.kev} fixable={f.fixable} epss={d.vulnerability?.epss} />
          <Link to={rulePage(f.rule)}>
            <code>{f.rule}</code>
          </Link>
          {d.ruleId && <code className={css.soft}>{d.ruleId}</code>}
          {f.assignee && (
            <span className={css.soft}>
              {t('assignee')}: {f.assignee}
            </span>
          )}
        </div>
        <Reasons score={f.priority} reasons={d.priority?.reasons ?? []} />
        {f.message && <p className={css.message}>{f.message}</p>}
      </header>
      <Holding finding={f} H={H} />
      <section>
        <H>{t('where')}</H>
        <Place finding={f} />
      </section>
      <Evidence finding={f} H={H} />
      {f.mitigations && f.mitigations.length > 0 && (
        <section>
          <H>{t('mitigations')}</H>
          <ul>
            {f.mitigations.map((m) => (
              <li key={m}>{m}</li>
            ))}
          </ul>
        </section>
      )}
      <Why finding={f} H={H} />
      {d.vulnerability && <Facts vulnerability={d.vulnerability} H={H} />}
      <Affected finding={f} H={H} />
      <References list={d.references ?? []} H={H} />
      {d.compliance && d.compliance.length > 0 && (
        <section>
          <H>{t('clauses')}</H>
          <ul className={css.inline}>
            {d.compliance.map((c) => (
              <li key={c.framework + c.clause}>
                <Link to="/compliance/$framework" params={{ framework: c.framework }}>
                  {c.framework} {c.clause}
                </Link>
              </li>
            ))}
          </ul>
        </section>
      )}
      <History finding={f} H={H} />
    </article>
  )
}

function References({ list, H }: { list: string[]; H: 'h2' | 'h3' }) {
  const { t } = useTranslation('risks')
  if (list.length === 0) return null
  return (
    <section>
      <H>{t('references')}</H>
      <ul>
        {list.map((r) => (
          <li key={r} className={css.break}>
            {external(r) ? (
              <a href={external(r)} target="_blank" rel="noopener noreferrer">
                {r}
              </a>
            ) : (
              r
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}
