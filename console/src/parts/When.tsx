import { Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'

import { missing, useFormat } from '../text/format'

// When shows how long ago something was; the whole time stands in the tooltip and in the element.
export function When({ at }: { at: string | undefined | null }) {
  const { t } = useTranslation('parts')
  const { relative, dateTime } = useFormat()
  if (missing(at)) return <span>{t('never')}</span>
  return (
    <Tooltip title={dateTime(at!)}>
      <time dateTime={at!} tabIndex={-1}>
        {relative(at!)}
      </time>
    </Tooltip>
  )
}
