import { useTranslation } from 'react-i18next'

import css from './images.module.css'

// Origin says with which layer something came in.
export function Origin({ base, layer }: { base: boolean; layer: number }) {
  const { t } = useTranslation('images')
  if (layer < 0) return <span className={css.soft}>–</span>
  return (
    <span style={{ whiteSpace: 'nowrap' }}>
      #{layer} <span className={css.origin}>{base ? t('layers.base') : t('layers.own')}</span>
    </span>
  )
}
