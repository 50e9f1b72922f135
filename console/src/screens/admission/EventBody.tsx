import { Link } from '@tanstack/react-router'
import { Skeleton } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './admission.module.css'
import { Hours } from './Hours'
import { KindTag } from './KindTag'
import { Occurrences } from './Occurrences'
import { ownerOf } from './useEventColumns'
import { api, type Schemas } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { Copy } from '../../parts/Copy'
import { DiffView } from '../../parts/DiffView'
import { ObjectEvidence } from '../../parts/EvidenceView'
import { Facts } from '../../parts/Facts'
import { said } from '../../parts/said'
import { SeverityTag } from '../../parts/Severity'
import { When } from '../../parts/When'
import { missing, useFormat } from '../../text/format'
import { ActionTag } from '../policies/ActionTag'

type Event = Schemas['AdmissionEventPage']

// RuleLink leads to the rule of the library; checks of images and own templates have no such page.
export function RuleLink({ rule, id }: { rule: string; id?: string }) {
  const [family = '', name = ''] = rule.split('/')
  if (family === 'image' && !id) return <code>{rule}</code>
  if (family === 'template')
    return (
      <Link to="/protection/templates/$name" params={{ name }}>
        <code>{name}</code>
      </Link>
    )
  return (
    <Link to="/rules/$family/$rule" params={{ family, rule: name }}>
      <code>{id || rule}</code>
    </Link>
  )
}

// EventBody is all that is known of an event.
export function EventBody({ event: e, heading }: { event: Event; heading?: boolean }) {
  const { t } = useTranslation('admission')
  const { number } = useFormat()
  const H = heading ? 'h3' : 'h2'
  const [occurrence, look] = useState<string>()
  const other = api.useQuery('get', '/api/v1/admission-events/{id}', { params: { path: { id: Number(e.id) }, query: { occurrence } } }, { enabled: !!occurrence })
  const shown = occurrence ? other.data : e
  return (
    <article className={css.body}>
      <header className={blocks.stack}>
        {heading && <h2 className={css.title}>{e.title}</h2>}
        <div className={blocks.row}>
          <KindTag kind={e.kind} />
          <SeverityTag severity={e.severity} />
          <ActionTag action={e.action} />
          <span className="text-soft">{t(`state.${e.state}`)}</span>
          <RuleLink rule={e.rule} id={e.ruleId} />
        </div>
        <p className={css.message}>{e.message}</p>
        {e.handledBy && <p className={blocks.hint}>{t('handledBy', { who: e.handledBy })} <When at={e.changedAt} />{e.note && <> · {e.note}</>}</p>}
      </header>
      {e.fix && (
        <section>
          <H>{t('fix')}</H>
          <div className={blocks.row}>
            <p className={css.message}>{e.fix}</p>
            <Copy text={e.fix} label={t('copyFix')} />
          </div>
        </section>
      )}
      <section>
        <H>{t('what')}</H>
        <Facts
          items={[
            [t('col.owner'), ownerOf(e)],
            [t('col.cluster'), <Link key="c" to="/clusters/$id" params={{ id: e.targetId }}>{e.cluster}</Link>],
            [t('col.policy'), <span key="p"><Link to="/protection/policies/$id" params={{ id: e.policyId }}>{e.policyName || e.policyId}</Link> {e.policyVersion ? t('version', { version: e.policyVersion }) : ''}</span>],
            e.container && [t('container'), <code key="k">{e.container}</code>],
            e.image && [t('col.image'), <code key="i">{e.image}</code>],
            e.digest && [t('digest'), <Link key="d" to="/images/$digest" params={{ digest: e.digest }}><code>{e.digest}</code></Link>],
            e.path && [t('path'), <code key="t">{e.path}</code>],
            e.found !== undefined && e.found !== null && [t('found'), <code key="f">{said(e.found)}</code>],
            e.want !== undefined && e.want !== null && [t('needed'), <code key="w">{said(e.want)}</code>],
            (e.items?.length ?? 0) > 0 && [t('items'), <ul key="l" className={blocks.list}>{e.items!.map((x) => <li key={x}>{x}</li>)}</ul>],
            e.user && [t('col.user'), e.user],
            [t('col.count'), `${number(e.count)}${e.reopened ? ` · ${t('reopened', { count: e.reopened })}` : ''}`],
            [t('seen'), <span key="s"><When at={e.firstSeen} /> – <When at={e.lastSeen} /></span>],
            e.exceptionId && e.exceptionId !== '0' && [t('exception'), <Link key="x" to="/exceptions/$id" params={{ id: e.exceptionId }}>{t('toException')}</Link>],
          ]}
        />
      </section>
      <section>
        <H>{t('object')}</H>
        {other.isFetching ? <Skeleton active paragraph={{ rows: 8 }} /> : shown && <ObjectEvidence object={shown.object} bare={/^image(\/|$)/.test(e.rule)} />}
      </section>
      {shown?.diff && (
        <section>
          <H>{t('diff')}</H>
          <DiffView label={t('diff')} diff={shown.diff} />
        </section>
      )}
      <section>
        <H>{t('occurrences')}</H>
        <Hours hours={e.hours} />
        <Occurrences list={e.occurrences} shown={occurrence} show={look} />
      </section>
      {missing(e.lastSeen) ? null : (
        <Link to="/protection/why" search={{ policy: e.policyId, rule: e.ruleId || e.rule }}>
          {t('why.link')}
        </Link>
      )}
    </article>
  )
}
