import { Link } from '@tanstack/react-router'
import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import { api, type Schemas } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'
import { SeverityTag } from '../../parts/Severity'
import { percent, useFormat } from '../../text/format'

const most = 300

// IdleRisks is what is wrong with an image that runs nowhere. It has no findings, which belong to clusters; it is judged by itself.
export function IdleRisks({ digest }: { digest: string }) {
  const { t } = useTranslation('images')
  const { number } = useFormat()
  const query = api.useQuery('get', '/api/v1/image-facts/{digest}', { params: { path: { digest } } }, { staleTime: 60_000 })
  const f = query.data
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  if (!f) return <Skeleton active paragraph={{ rows: 8 }} />
  const vulnerabilities = f.vulnerabilities ?? []
  const hits = f.hits ?? []
  const left = Math.max(0, Object.values(f.counts).reduce((a, b) => a + b, 0) - Math.min(vulnerabilities.length, most) - Math.min(hits.length, most))
  return (
    <div className={css.stack}>
      <Alert type="info" showIcon title={t('idle.nowhere')} description={t('idle.nowhereHint')} />
      {f.noAdvisories && <Alert type="warning" showIcon title={t('idle.noAdvisories')} description={f.noAdvisories} />}
      {vulnerabilities.length + hits.length === 0 && <p>{t('idle.clean')}</p>}
      {vulnerabilities.length > 0 && <Vulnerabilities list={vulnerabilities.slice(0, most)} />}
      {hits.length > 0 && <Hits list={hits.slice(0, most)} />}
      {left > 0 && <p className={css.soft}>{t('idle.more', { count: left, number: number(left) })}</p>}
    </div>
  )
}

function Vulnerabilities({ list }: { list: Schemas['ImageVulnerability'][] }) {
  const { t } = useTranslation('images')
  return (
    <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('tab.vulnerabilities')}>
      <table className={blocks.table}>
        <thead>
          <tr>
            <th scope="col">{t('findings.severity')}</th>
            <th scope="col">{t('findings.risk')}</th>
            <th scope="col">{t('findings.package')}</th>
            <th scope="col">{t('findings.fixed')}</th>
            <th scope="col">{t('findings.epss')}</th>
          </tr>
        </thead>
        <tbody>
          {list.map((v, i) => (
            <tr key={i}>
              <td>
                <SeverityTag severity={v.severity} />
              </td>
              <td>
                <Link to="/vulnerabilities/$id" params={{ id: v.id }}>
                  {v.id}
                </Link>
                {v.kev && <div className={css.kev}>{t('findings.kevYes')}</div>}
              </td>
              <td className={blocks.anywhere}>
                {v.package} <code className={css.soft}>{v.version}</code>
                {v.path && <div className={css.soft}>{v.path}</div>}
              </td>
              <td>{v.fixedVersion ? <code>{v.fixedVersion}</code> : <span className={css.soft}>{t('findings.noFix')}</span>}</td>
              <td>{v.epss === undefined ? '–' : percent(v.epss)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Hits({ list }: { list: Schemas['ImageHit'][] }) {
  const { t } = useTranslation(['images', 'words'])
  return (
    <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('tab.secrets')}>
      <table className={blocks.table}>
        <thead>
          <tr>
            <th scope="col">{t('findings.severity')}</th>
            <th scope="col">{t('findings.risk')}</th>
            <th scope="col">{t('findings.kind')}</th>
            <th scope="col">{t('findings.path')}</th>
          </tr>
        </thead>
        <tbody>
          {list.map((h, i) => {
            const [family = '', rule = ''] = h.rule.split('/')
            return (
              <tr key={i}>
                <td>
                  <SeverityTag severity={h.severity} />
                </td>
                <td>
                  <Link to="/rules/$family/$rule" params={{ family, rule }}>
                    {h.title}
                  </Link>
                </td>
                <td>{t(`words:kindOne.${h.kind as 'secret'}`)}</td>
                <td className={blocks.anywhere}>{h.path ? <code>{h.line ? `${h.path}:${h.line}` : h.path}</code> : h.found || '–'}</td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}
