import { CheckCircleFilled, PauseCircleOutlined } from '@ant-design/icons'
import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { Facts } from './Facts'
import { api } from '../../api/client'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// WatchTab says whether changes of a cluster are judged as they come.
export default function WatchTab({ id }: { id: string }) {
  const { t } = useTranslation('assets')
  const { number } = useFormat()
  const query = api.useQuery('get', '/api/v1/clusters/{id}/watch', { params: { path: { id: Number(id) } } }, { refetchInterval: 15_000 })
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  const w = query.data
  if (!w) return <Skeleton active paragraph={{ rows: 6 }} />
  return (
    <Panel title={t('watch')}>
      <div className={css.stack}>
        <p className={w.watching ? css.good : css.soft}>
          {w.watching ? <CheckCircleFilled aria-hidden /> : <PauseCircleOutlined aria-hidden />} {w.watching ? t('watching') : t('notWatching')}
        </p>
        {w.error && <Alert type="error" showIcon title={t('watchError')} description={w.error} />}
        <Facts
          items={[
            { label: t('watchSince'), value: w.watching && <When at={w.since} /> },
            { label: t('watchKinds'), value: number(w.kinds) },
            { label: t('watchObjects'), value: number(w.objects) },
            { label: t('watchWaiting'), value: number(w.waiting) },
            { label: t('watchJudged'), value: number(w.judged) },
            { label: t('watchCheck'), value: w.check && t('watchDifferences', { count: w.check.differences, number: number(w.check.differences) }) },
          ]}
        />
      </div>
    </Panel>
  )
}
