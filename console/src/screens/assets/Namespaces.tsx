import { useTranslation } from 'react-i18next'

import { AssetTable } from './AssetTable'
import { Page } from '../../parts/Page'

// Namespaces is the list of namespaces.
export default function Namespaces() {
  const { t } = useTranslation('assets')
  return (
    <Page title={t('lists.namespace')} lead={t('leads.namespace')}>
      <AssetTable kind="namespace" />
    </Page>
  )
}
