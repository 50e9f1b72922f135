import { CheckCircleOutlined, CloseCircleOutlined, ExclamationCircleOutlined } from '@ant-design/icons'
import { Link } from '@tanstack/react-router'
import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { api, type Schemas } from '../../api/client'
import { useLive } from '../../app/live'
import { EmptyState } from '../../parts/EmptyState'
import { Problem } from '../../parts/Problem'
import { SeverityCounts } from '../../parts/Severity'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'
import css from '../images/images.module.css'

type Component = Schemas['Component']
const families = ['kubernetes', 'node', 'harbor', 'jfrog', 'bintray'] as const

// Components is the table of a cluster's core components. target is the cluster's id.
export function Components({ target }: { target: string }) {
  const { t } = useTranslation('images')
  const query = api.useQuery('get', '/api/v1/clusters/{id}/components', { params: { path: { id: Number(target) } } })
  useLive(['task'], ['/api/v1/clusters/{id}/components'])
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  if (!query.data) return <Skeleton active paragraph={{ rows: 14 }} />
  const { items, at, managed, cut } = query.data
  if (!at) return <EmptyState title={t('components.neverScanned')} hint={t('components.neverScannedHint')} />
  // What is not there is listed apart, but for the parts that every cluster has somewhere.
  const shown = items.filter((c) => c.reasonCode !== 'absent')
  const absent = items.filter((c) => c.reasonCode === 'absent')
  return (
    <div className={css.stack}>
      <div className={css.soft}>
        {t('components.at')} <When at={at} />
        {managed && <> · {t('components.managed')}</>}
      </div>
      {cut && <Alert type="warning" showIcon title={t('components.cut')} />}
      {families
        .map((family) => ({ family, list: shown.filter((c) => c.family === family) }))
        .filter(({ list }) => list.length > 0)
        .map(({ family, list }) => (
          <Family key={family} title={t(`components.family.${family}`)} list={list} />
        ))}
      {absent.length > 0 && (
        <section aria-label={t('components.absent')}>
          <h2 className={css.group}>{t('components.absent')}</h2>
          <p className={css.soft}>{t('components.absentHint')}</p>
          <p>
            {families
              .map((family) => ({ family, names: absent.filter((c) => c.family === family).map((c) => c.name) }))
              .filter(({ names }) => names.length > 0)
              .map(({ family, names }) => (
                <span key={family} style={{ display: 'block' }}>
                  <strong>{t(`components.family.${family}`)}:</strong> {names.join(', ')}
                </span>
              ))}
          </p>
        </section>
      )}
    </div>
  )
}

function Family({ title, list }: { title: string; list: Component[] }) {
  const { t } = useTranslation('images')
  const label = `${t('components.label')}: ${title}`
  return (
    <section aria-label={label}>
      <h2 className={css.group}>{title}</h2>
      <div className={`${css.wide} ${css.sheet}`} tabIndex={0} role="region" aria-label={title}>
        <table className={css.plain} aria-label={label} style={{ minWidth: 900, tableLayout: 'fixed' }}>
          <colgroup>
            <col style={{ width: '18%' }} />
            <col style={{ width: '24%' }} />
            <col style={{ width: '14%' }} />
            <col style={{ width: '28%' }} />
            <col style={{ width: '16%' }} />
          </colgroup>
          <thead>
            <tr>
              <th scope="col">{t('components.name')}</th>
              <th scope="col">{t('components.where')}</th>
              <th scope="col">{t('components.version')}</th>
              <th scope="col">{t('components.scan')}</th>
              <th scope="col">{t('components.risks')}</th>
            </tr>
          </thead>
          <tbody>
            {list.map((c) => (
              <Row key={c.name + (c.image ?? '') + (c.version ?? '') + (c.object ?? '')} c={c} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}

function Row({ c }: { c: Component }) {
  const { t } = useTranslation('images')
  const image = c.digest || c.assetId
  return (
    <tr>
      <td style={{ overflowWrap: 'anywhere' }}>
        <strong>{c.name}</strong>
        <div className={css.soft}>{t(`components.how.${c.how}`)}</div>
      </td>
      <td style={{ overflowWrap: 'anywhere' }}>
        <Place c={c} />
      </td>
      <td style={{ overflowWrap: 'anywhere' }}>
        {c.version ? <code>{c.version}</code> : t('unknown')}
        {c.versionSource && <div className={css.soft}>{t(`components.source.${c.versionSource}`)}</div>}
      </td>
      <td style={{ overflowWrap: 'anywhere' }}>
        <State c={c} />
      </td>
      <td>
        {c.scanned && image ? (
          <SeverityCounts counts={c.findings} link={(severity) => ({ to: '/risks', search: { view: 'findings', asset: c.assetId ?? '', severity } })} />
        ) : (
          <span className={css.soft}>{t('unknown')}</span>
        )}
      </td>
    </tr>
  )
}

// Place says where a component runs: its workload, its image, its nodes.
function Place({ c }: { c: Component }) {
  const { t } = useTranslation('images')
  const { number } = useFormat()
  if (!c.object && !c.nodeCount) return <span className={css.soft}>–</span>
  const image = c.digest || c.assetId
  return (
    <>
      {c.object &&
        (c.workloadId ? (
          <Link to="/assets/workloads/$id" params={{ id: c.workloadId }}>
            {c.object}
          </Link>
        ) : (
          c.object
        ))}
      {c.objects && c.objects > 1 ? <span className={css.soft}> ({t('components.objects', { count: c.objects, number: number(c.objects) })})</span> : null}
      {c.image && (
        <div>
          {image ? (
            <Link to="/images/$digest" params={{ digest: image }}>
              {c.image}
            </Link>
          ) : (
            c.image
          )}
        </div>
      )}
      {c.nodeCount ? (
        <div className={css.soft} title={(c.nodes ?? []).join(', ')}>
          {t('components.nodes', { count: c.nodeCount, number: number(c.nodeCount) })}
        </div>
      ) : null}
    </>
  )
}

// State says whether a component was scanned, and why not.
function State({ c }: { c: Component }) {
  const { t } = useTranslation('images')
  const part = c.scanned && c.reason
  return (
    <>
      {c.scanned ? (
        <span className={part ? css.warn : css.good}>
          {part ? <ExclamationCircleOutlined /> : <CheckCircleOutlined />} {part ? t('components.part') : t('components.yes')}
        </span>
      ) : (
        <span className={css.bad}>
          <CloseCircleOutlined /> {t('components.no')}
        </span>
      )}
      {c.reason && <div>{c.reason}</div>}
      {c.detail && (
        <details className={css.details}>
          <summary>{t('components.details')}</summary>
          <code className={css.code}>{c.detail}</code>
        </details>
      )}
    </>
  )
}
