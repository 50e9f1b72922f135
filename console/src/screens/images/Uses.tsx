import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import type { Image } from './model'
import { EmptyState } from '../../parts/EmptyState'
import { SeverityCounts } from '../../parts/Severity'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// Uses lists the clusters and workloads that run the image.
export function Uses({ image }: { image: Image }) {
  const { t } = useTranslation('images')
  const { number } = useFormat()
  if (image.uses.length === 0) return <EmptyState title={t('uses.none')} hint={t('uses.noneHint')} />
  return (
    <div className={`${css.wide} ${css.sheet}`} tabIndex={0} role="region" aria-label={t('uses.label')}>
      <table className={css.plain} aria-label={t('uses.label')} style={{ minWidth: 760 }}>
        <thead>
          <tr>
            <th scope="col">{t('uses.cluster')}</th>
            <th scope="col">{t('uses.reference')}</th>
            <th scope="col">{t('uses.workloads')}</th>
            <th scope="col">{t('uses.risks')}</th>
            <th scope="col">{t('uses.looked')}</th>
          </tr>
        </thead>
        <tbody>
          {image.uses.map((u) => (
            <tr key={u.id}>
              <td>
                <Link to="/clusters/$id" params={{ id: u.targetId }}>
                  {u.target}
                </Link>
              </td>
              <td className={css.code}>{u.name}</td>
              <td>
                <ul className={css.list}>
                  {u.workloads.map((w) => (
                    <li key={w.id}>
                      <span className={css.soft}>{w.kind} </span>
                      <Link to="/assets/workloads/$id" params={{ id: w.id }}>
                        {w.namespace ? `${w.namespace}/${w.name}` : w.name}
                      </Link>
                    </li>
                  ))}
                  {u.workloadCount > u.workloads.length && <li className={css.soft}>{t('uses.more', { count: u.workloadCount - u.workloads.length, number: number(u.workloadCount - u.workloads.length) })}</li>}
                </ul>
              </td>
              <td>
                {image.read ? (
                  <SeverityCounts counts={{ critical: u.critical, high: u.high, medium: u.medium, low: u.low, info: u.info }} link={(severity) => ({ to: '/risks', search: { view: 'findings', asset: u.id, severity } })} />
                ) : (
                  <span className={css.soft}>{t('unknown')}</span>
                )}
              </td>
              <td>
                <When at={u.lookedAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
