import { Alert, Button } from 'antd'
import { useTranslation } from 'react-i18next'

import { Failed } from '../api/client'
import { Copy } from './Copy'

type Props = { error: unknown; retry?: () => void; title?: string }

// Problem tells what failed in the server's words, with the id that finds it in the server's log.
export function Problem({ error, retry, title }: Props) {
  const { t } = useTranslation('parts')
  const failed = error instanceof Failed ? error : null
  const what = failed ? (failed.status === 0 ? t('notReached') : failed.detail || t('status', { status: failed.status })) : error instanceof Error ? error.message : String(error)
  return (
    <Alert
      type="error"
      showIcon
      role="alert"
      title={title ?? t('failed')}
      description={
        <>
          <div>{what}</div>
          {failed?.fields.map((f) => (
            <div key={f.location + f.message}>
              {f.location && <code>{f.location}</code>} {f.message}
            </div>
          ))}
          {failed?.requestId && (
            <div>
              {t('requestId')} <code>{failed.requestId}</code> <Copy text={failed.requestId} />
            </div>
          )}
        </>
      }
      action={retry && <Button onClick={retry}>{t('retry')}</Button>}
    />
  )
}
