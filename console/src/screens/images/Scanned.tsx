import { CheckCircleOutlined, CloseCircleOutlined, ExclamationCircleOutlined } from '@ant-design/icons'
import { Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import type { ImageRow } from './model'

// Scanned says whether an image was read; no risks and not looked at are not the same.
export function Scanned({ row }: { row: Pick<ImageRow, 'read' | 'limited' | 'reason' | 'code'> }) {
  const { t } = useTranslation(['images', 'words'])
  if (!row.read)
    return (
      <Tooltip title={row.reason ?? t('unread.never')}>
        <span className={css.bad} tabIndex={-1}>
          <CloseCircleOutlined /> {row.code ? t(`words:gap.${row.code}`) : t('notScanned')}
        </span>
      </Tooltip>
    )
  if (row.limited)
    return (
      <Tooltip title={t('limitedWhy')}>
        <span className={css.warn} tabIndex={-1}>
          <ExclamationCircleOutlined /> {t('limited')}
        </span>
      </Tooltip>
    )
  return (
    <span className={css.good}>
      <CheckCircleOutlined /> {t('scanned')}
    </span>
  )
}
