import { Link } from '@tanstack/react-router'
import { Checkbox } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import type { BuildStep, Image } from './model'
import { keep } from './Split'
import { EmptyState } from '../../parts/EmptyState'
import { useUrl } from '../../parts/search'
import { SeverityCounts } from '../../parts/Severity'
import { useFormat } from '../../text/format'

// Layers shows the build steps in order with what came in with each.
export function Layers({ image }: { image: Image }) {
  const { t } = useTranslation('images')
  const [search, set] = useUrl()
  const hidden = search.steps === 'layers'
  const steps = image.layers.filter((s) => !hidden || s.index >= 0)
  if (image.layers.length === 0) return <EmptyState title={t('layers.none')} hint={t('layers.noneHint')} />
  return (
    <div className={css.stack}>
      <div className={css.filters}>
        <span>
          {t('base.title')}: <strong>{image.base.name ?? t('base.unnamed')}</strong> <span className={css.soft}>{image.base.reason}</span>
        </span>
        {image.layers.some((s) => s.index < 0) && (
          <Checkbox checked={hidden} onChange={(e) => set({ steps: e.target.checked ? 'layers' : '' }, true)}>
            {t('layers.hide')}
          </Checkbox>
        )}
      </div>
      <div className={`${css.wide} ${css.sheet}`} tabIndex={0} role="region" aria-label={t('layers.label')}>
        <table className={css.plain} aria-label={t('layers.label')} style={{ minWidth: 860 }}>
          <thead>
            <tr>
              <th scope="col">{t('layers.number')}</th>
              <th scope="col">{t('layers.instruction')}</th>
              <th scope="col" className={css.right}>
                {t('layers.size')}
              </th>
              <th scope="col" className={css.right}>
                {t('layers.packages')}
              </th>
              <th scope="col">{t('layers.vulnerabilities')}</th>
              <th scope="col">{t('layers.other')}</th>
            </tr>
          </thead>
          <tbody>
            {steps.map((step, i) => (
              <Line key={i} step={step} image={image} />
            ))}
          </tbody>
        </table>
      </div>
    </div>
  )
}

function Line({ step, image }: { step: BuildStep; image: Image }) {
  const { t } = useTranslation('images')
  const { bytes, number } = useFormat()
  const layer = String(step.index)
  const others = [
    ...(step.secrets > 0 ? [t('layers.secrets', { count: step.secrets, number: number(step.secrets) })] : []),
    ...(step.malware > 0 ? [t('layers.malware', { count: step.malware, number: number(step.malware) })] : []),
  ]
  return (
    <tr className={step.index < 0 ? css.empty : step.base ? css.base : css.own}>
      <td style={{ whiteSpace: 'nowrap' }}>
        {step.index >= 0 ? `#${step.index} ` : `${t('layers.noLayer')} `}
        <span className={css.origin}>{step.base ? t('layers.base') : t('layers.own')}</span>
      </td>
      <td>
        <span className={`${css.code} ${css.clamp}`}>{step.createdBy || <span className={css.soft}>{t('layers.noInstruction')}</span>}</span>
      </td>
      <td className={css.right} style={{ whiteSpace: 'nowrap' }}>
        {step.size ? bytes(step.size) : '–'}
      </td>
      <td className={css.right}>
        {step.packages > 0 ? (
          <Link to="." search={keep(image, { tab: 'packages', layer })}>
            {number(step.packages)}
          </Link>
        ) : (
          '–'
        )}
      </td>
      <td>{step.index >= 0 ? <SeverityCounts counts={step.vulnerabilities} link={(severity) => ({ to: '.', search: keep(image, { tab: 'vulnerabilities', layer, severity }) })} /> : '–'}</td>
      <td>
        {others.length > 0 ? (
          <Link to="." search={keep(image, { tab: 'secrets', layer })}>
            {others.join(', ')}
          </Link>
        ) : (
          '–'
        )}
      </td>
    </tr>
  )
}
