import { useTranslation } from 'react-i18next'

import type { Report, Result } from './model'
import { call } from '../../api/client'
import { DownloadButton } from '../../parts/Download'

// ResultDownload fetches what was written of a report.
export function ResultDownload({ report, result }: { report: Report; result: Result }) {
  const { t } = useTranslation('reports')
  return (
    <DownloadButton
      small
      label={t('download')}
      name={`report-${result.id}.${result.form}`}
      get={(signal) => call.GET('/api/v1/reports/{id}/results/{result}/file', { params: { path: { id: Number(report.id), result: Number(result.id) } }, parseAs: 'stream', signal })}
    />
  )
}
