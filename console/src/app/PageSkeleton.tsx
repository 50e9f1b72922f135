import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

export function PageSkeleton() {
  const { t } = useTranslation('app')
  return (
    <div style={{ padding: 24 }} role="status" aria-label={t('loading')}>
      <Skeleton active title={{ width: 240 }} paragraph={{ rows: 6 }} />
    </div>
  )
}
