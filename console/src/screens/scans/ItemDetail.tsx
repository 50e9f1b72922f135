import { Link } from '@tanstack/react-router'
import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import { Bar } from './Bar'
import { useNow } from './now'
import { itemShare, took, type Item } from './progress'
import { State } from './State'
import { parts } from './what'
import css from './scans.module.css'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// ItemDetail tells of one cluster or upload of a task: its phase, each scan item, what failed and why, what it changed. Alone in its
// task it leaves out what the head of the page says already.
export function ItemDetail({ item, alone }: { item: Item; alone?: boolean }) {
  const { t } = useTranslation(['scans', 'words'])
  const { number } = useFormat()
  const running = item.status === 'running'
  const ms = took(item, useNow(running))
  const p = item.progress
  const run = item.run
  const since = run?.startedAt ?? item.startedAt ?? ''
  const about = { view: 'findings', target: item.targetId }
  return (
    <div className={css.stack}>
      <div className={css.row}>
        <strong>{item.name}</strong>
        <State status={item.status} />
        {running && <span>{t(`phases.${p?.phase ?? 'connecting'}`)}</span>}
        {item.attempt > 1 && <span className={css.soft}>{t('attempt', { number: number(item.attempt) })}</span>}
      </div>
      {!alone && <Bar label={t('progressOf', { name: item.name })} share={itemShare(item)} failed={item.status === 'failed'} remaining={p?.remainingMs} going={running} />}
      {item.error && item.status === 'partial' && (
        <Alert
          type="warning"
          showIcon
          title={
            <span className={css.inAlert}>
              {t('partialWhy')}{' '}
              <Link to="/gaps" search={{ target: item.targetId }}>
                {t('toGaps')}
              </Link>
            </span>
          }
        />
      )}
      {item.error && item.status !== 'partial' && (
        <Alert type="error" showIcon title={item.code ? t(`words:gap.${item.code as 'broken'}`, { defaultValue: item.code }) : t('cause')} description={item.error} />
      )}
      <dl className={css.facts}>
        {!alone && <Basics item={item} ms={ms} />}
        {run && (
          <>
            <div>
              <dt>{t('newOnes')}</dt>
              <dd>
                <Link to="/risks" search={{ ...about, firstSince: since }}>
                  {number(run.added)}
                </Link>
              </dd>
            </div>
            <div>
              <dt>{t('cameBack')}</dt>
              <dd>
                <Link to="/risks" search={{ ...about, status: 'reopened', changedSince: since }}>
                  {number(run.reopened)}
                </Link>
              </dd>
            </div>
            <div>
              <dt>{t('fixedOnes')}</dt>
              <dd>
                <Link to="/risks" search={{ ...about, status: 'fixed,gone', changedSince: since }}>
                  {number(run.fixed + run.gone)}
                </Link>
              </dd>
            </div>
            <div>
              <dt>{t('unchanged')}</dt>
              <dd>{number(run.unchanged)}</dd>
            </div>
          </>
        )}
      </dl>
      {p?.items && (
        <div className={css.scroll}>
          <table className={css.table}>
            <caption className="unseen">{t('items')}</caption>
            <thead>
              <tr>
                <th scope="col">{t('item')}</th>
                <th scope="col">{t('phase')}</th>
                <th scope="col">{t('findingsSeen')}</th>
              </tr>
            </thead>
            <tbody>
              {parts
                .filter((part) => p.items?.[part])
                .map((part) => (
                  <tr key={part}>
                    <th scope="row">{t(`parts.${part}`)}</th>
                    <td>{t(`partPhase.${item.status === 'running' ? p.items![part]!.phase : item.status === 'ready' ? 'waiting' : 'done'}`)}</td>
                    <td>{part === 'compliance' ? '–' : number(p.items![part]!.findings)}</td>
                  </tr>
                ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  )
}

function Basics({ item, ms }: { item: Item; ms: number | undefined }) {
  const { t } = useTranslation('scans')
  const { number, duration } = useFormat()
  const p = item.progress
  return (
    <>
      <div>
        <dt>{t('started')}</dt>
        <dd>{item.startedAt ? <When at={item.startedAt} /> : t('notStarted')}</dd>
      </div>
      <div>
        <dt>{t('took')}</dt>
        <dd>{ms === undefined ? '–' : duration(ms)}</dd>
      </div>
      <div>
        <dt>{t('objects')}</dt>
        <dd>{number(p?.objects ?? 0)}</dd>
      </div>
      {p && p.imagesTotal > 0 && (
        <div>
          <dt>{t('images')}</dt>
          <dd>{t('ofAll', { done: number(p.images), all: number(p.imagesTotal) })}</dd>
        </div>
      )}
    </>
  )
}
