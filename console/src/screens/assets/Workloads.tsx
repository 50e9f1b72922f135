import { useTranslation } from 'react-i18next'

import { AssetTable } from './AssetTable'
import { Page } from '../../parts/Page'

// Workloads is the list of workloads.
export default function Workloads() {
  const { t } = useTranslation('assets')
  return (
    <Page title={t('lists.workload')} lead={t('leads.workload')}>
      <AssetTable kind="workload" />
    </Page>
  )
}
