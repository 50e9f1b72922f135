import { Link } from '@tanstack/react-router'
import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import { api, type Schemas } from '../../api/client'
import { useFormat } from '../../text/format'

type Props = { finding: Schemas['FindingFull']; H: 'h2' | 'h3' }

// Holding tells the exception that accepts a finding, or who accepted it in the file itself.
export function Holding({ finding: f, H }: Props) {
  const { t } = useTranslation('risks')
  const { date } = useFormat()
  const id = Number(f.exceptionId ?? 0)
  const query = api.useQuery('get', '/api/v1/exceptions/{id}', { params: { path: { id } } }, { enabled: id > 0, retry: false })
  const s = f.document.suppression
  if (f.status !== 'accepted') return null
  const e = query.data
  return (
    <section>
      <H>{t('accepted')}</H>
      <Alert
        type="info"
        showIcon
        title={e ? e.reason : (s?.reason ?? t('acceptedBy', { by: s?.by ?? '' }))}
        description={
          <>
            {e && <div>{t('decidedBy', { approver: e.approver || '–', requester: e.requester })}</div>}
            {e?.expiresAt && <div>{t('until', { date: date(e.expiresAt) })}</div>}
            {!e && s?.expires && <div>{t('until', { date: date(s.expires) })}</div>}
            {e && (
              <Link to="/exceptions/$id" params={{ id: e.id }}>
                {t('toException')}
              </Link>
            )}
          </>
        }
      />
    </section>
  )
}
