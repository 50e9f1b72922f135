import { Link } from '@tanstack/react-router'
import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import { classOf, type Full, type Outcome, type Result } from './shapes'
import { VerdictTag } from './Standing'
import blocks from '../../parts/Blocks.module.css'
import { Facts } from '../../parts/Facts'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'
import { Table } from '../nodes/Table'

// ResultDetail is the evidence: what each check saw on one node, in one image or for one workload.
export function ResultDetail({ result: r, emergency: e }: { result: Result; emergency: Full }) {
  const { t } = useTranslation('emergencies')
  const digest = r.kind === 'image' || r.kind === 'workload' ? r.name : ''
  return (
    <div className={blocks.stack}>
      <VerdictTag verdict={r.verdict} />
      {r.note && <p>{r.note}</p>}
      {r.notRead && <Alert type="warning" showIcon title={t('notRead')} description={r.notRead} />}
      <Facts
        items={[
          [t('cluster'), <Link key="c" to="/clusters/$id" params={{ id: r.targetId }}>{r.cluster}</Link>],
          !!digest && [t('kindOne.image'), <Link key="i" to="/images/$digest" params={{ digest }}>{r.image || digest}</Link>],
          !!r.component && [t('component'), r.component],
          !!r.version && [t('version'), r.version],
          !!r.path && [t('path'), <code key="p">{r.path}</code>],
          !!r.container && [t('container'), r.container],
          [t('since'), <When key="s" at={r.since} />],
          [t('lookedAt'), <When key="a" at={r.at} />],
        ]}
      />
      <h3>{t('evidence')}</h3>
      {r.checks.length === 0 ? <p className="text-soft">{t('noChecks')}</p> : r.checks.map((c, i) => <Seen key={`${i}-${c.check}`} outcome={c} />)}
      {r.instances.length > 1 && (
        <>
          <h3>{t('instances')}</h3>
          <Table
            label={t('instances')}
            head={[t('component'), t('version'), t('path'), t('verdictOf')]}
            rows={r.instances.map((x, i) => ({ key: `${i}-${x.path ?? ''}`, cells: [x.component, x.version || '–', <code key="p">{[x.container, x.path].filter(Boolean).join(': ') || '–'}</code>, <VerdictTag key="v" verdict={x.verdict} />] }))}
          />
        </>
      )}
      <h3>{t('fix')}</h3>
      <p style={{ whiteSpace: 'pre-line' }}>{e.fix}</p>
      <Link to="/risks" search={{ view: 'findings', kind: 'emergency', target: r.targetId, q: e.id }}>{t('asFindings')}</Link>
    </div>
  )
}

// Seen is what one check saw. That a proof of a fix holds is good, that a precondition holds is not.
function Seen({ outcome: o }: { outcome: Outcome }) {
  const { t } = useTranslation('emergencies')
  const state = o.holds === 'unknown' ? 'unknown' : (o.holds === 'yes') === !!o.proof ? 'ok' : 'bad'
  const known = classOf(o.class)
  return (
    <section className={blocks.stack} aria-label={o.says || o.check} style={{ borderInlineStart: '3px solid var(--line)', paddingInlineStart: 12 }}>
      <div className={blocks.row}>
        <strong>{o.says || o.check}</strong>
        <Verdict state={state} word={t(o.proof ? `proof.${o.holds}` : `holds.${o.holds}`)} />
      </div>
      {o.evidence && <code className={blocks.anywhere}>{o.evidence}</code>}
      {o.reason && (
        <div className={blocks.warn}>
          {t('because')} {o.reason}
        </div>
      )}
      <div className="text-soft">
        {o.check} · {known ? t(`class.${known}`) : o.class}
      </div>
    </section>
  )
}
