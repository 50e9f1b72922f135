import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import { sum, type Image } from './model'
import { Panel } from '../../parts/Page'
import { SeverityCounts } from '../../parts/Severity'
import { useFormat } from '../../text/format'

const parts = [
  { key: 'base', bar: css.barBase, origin: 'base', layer: '' },
  { key: 'own', bar: css.barOwn, origin: 'own', layer: '' },
  { key: 'elsewhere', bar: css.barElsewhere, origin: '', layer: '-1' },
] as const

// Split shows how many of the risks came with the base image and how many with the image's own layers.
export function Split({ image }: { image: Image }) {
  const { t } = useTranslation('images')
  const { number } = useFormat()
  const all = parts.reduce((n, p) => n + sum(image.split[p.key]), 0)
  return (
    <Panel
      title={t('split.title')}
      extra={
        image.assetId && (
          <Link to="/risks" search={{ view: 'findings', asset: image.assetId }}>
            {t('split.total', { count: all, number: number(all) })}
          </Link>
        )
      }
    >
      <div className={css.bar} aria-hidden>
        {parts.map((p) => (
          <span key={p.key} className={p.bar} style={{ width: `${all > 0 ? (100 * sum(image.split[p.key])) / all : 0}%` }} />
        ))}
      </div>
      <div className={css.wide}>
        <table className={css.plain}>
          <tbody>
            {parts.map((p) => (
              <tr key={p.key}>
                <th scope="row" className={css.wrap}>
                  <span className={`${css.key} ${p.bar}`} aria-hidden />
                  {t(`split.${p.key}`)}
                  <div className={css.hint}>{t(`split.${p.key}Hint`)}</div>
                </th>
                <td>
                  <SeverityCounts
                    counts={image.split[p.key]}
                    link={(severity) => ({ to: '.', search: keep(image, { tab: 'risks', severity, origin: p.origin, layer: p.layer }) })}
                  />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <dl className={css.facts} style={{ marginTop: 12 }}>
        <dt>{t('base.title')}</dt>
        <dd>
          {image.base.known && image.base.digest ? (
            <Link to="/images/$digest" params={{ digest: image.base.digest }}>
              {image.base.name}
            </Link>
          ) : (
            (image.base.name ?? t('base.unnamed'))
          )}
          {image.base.layers > 0 && <span className={css.soft}> · {t('base.layers', { count: image.base.layers, number: number(image.base.layers) })}</span>}
          <div className={css.soft}>{image.base.reason}</div>
        </dd>
      </dl>
    </Panel>
  )
}

// keep makes a search of the same page: whose findings are shown stays.
export function keep(image: Image, more: Record<string, string>): Record<string, string> {
  const out: Record<string, string> = image.targetId && image.uses.length > 1 ? { cluster: image.targetId } : {}
  for (const [key, value] of Object.entries(more)) if (value) out[key] = value
  return out
}
