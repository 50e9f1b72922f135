import { Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './Risks.module.css'
import { useFormat } from '../../text/format'

type Props = { kev?: boolean; fixable?: boolean; epss?: number }

// Badges mark what is exploited, likely to be, and what has a fix.
export function Badges({ kev, fixable, epss }: Props) {
  const { t } = useTranslation('risks')
  const { percent } = useFormat()
  return (
    <span className={css.badges}>
      {kev && (
        <Tooltip title={t('kevHint')}>
          <span className={`${css.badge} ${css.kev}`}>{t('kevShort')}</span>
        </Tooltip>
      )}
      {epss !== undefined && epss >= 0.01 && (
        <Tooltip title={t('epssHint')}>
          <span className={`${css.badge} ${css.soft}`}>EPSS {percent(epss)}</span>
        </Tooltip>
      )}
      {fixable && (
        <Tooltip title={t('fixHint')}>
          <span className={`${css.badge} ${css.fix}`}>{t('fixShort')}</span>
        </Tooltip>
      )}
    </span>
  )
}
