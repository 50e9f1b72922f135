import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import type { Image } from './model'
import { Panel } from '../../parts/Page'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// Facts is what the image says of itself. Values that look like credentials were taken out when it was read.
export function Facts({ image }: { image: Image }) {
  const { t } = useTranslation('images')
  const { bytes, number } = useFormat()
  const words = (list: string[] | undefined) => (list && list.length > 0 ? list.join(' ') : t('facts.noneSet'))
  const labels = Object.entries(image.labels ?? {})
  const rows: [string, ReactNode][] = [
    [t('facts.system'), image.os?.release || image.os?.id || t('unknown')],
    [t('facts.platform'), image.platform || t('unknown')],
    [t('facts.built'), image.created ? <When at={image.created} /> : t('unknown')],
    [t('facts.size'), image.size ? bytes(image.size) : t('unknown')],
    [t('facts.packages'), [number(image.packages), ...Object.entries(image.types ?? {}).map(([type, n]) => `${type} ${number(n)}`)].join(' · ')],
    [t('facts.user'), image.user || t('facts.rootUser')],
    [t('facts.entrypoint'), <code key="e">{words(image.entrypoint)}</code>],
    [t('facts.cmd'), <code key="c">{words(image.cmd)}</code>],
    [t('facts.workdir'), <code key="w">{image.workdir || '/'}</code>],
    [t('facts.ports'), words(image.ports)],
    [t('facts.volumes'), words(image.volumes)],
    [t('facts.health'), image.healthcheck ? t('facts.yes') : t('facts.no')],
    [t('facts.env'), <Lines key="v" lines={image.env ?? []} />],
    [t('facts.labels'), <Lines key="l" lines={labels.map(([k, v]) => `${k}=${v}`)} />],
  ]
  return (
    <Panel title={t('facts.title')}>
      <dl className={css.facts}>
        {rows.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={name + '='}>{value}</dd>])}
      </dl>
    </Panel>
  )
}

function Lines({ lines }: { lines: string[] }) {
  const { t } = useTranslation('images')
  if (lines.length === 0) return t('facts.noneSet')
  return (
    <span className={`${css.code} ${css.clamp}`} tabIndex={lines.length > 5 ? 0 : -1}>
      {lines.join('\n')}
    </span>
  )
}
