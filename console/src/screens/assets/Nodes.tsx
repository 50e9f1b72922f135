import { useTranslation } from 'react-i18next'

import { AssetTable } from './AssetTable'
import { Page } from '../../parts/Page'

// Nodes is the list of nodes.
export default function Nodes() {
  const { t } = useTranslation('assets')
  return (
    <Page title={t('lists.node')} lead={t('leads.node')}>
      <AssetTable kind="node" />
    </Page>
  )
}
