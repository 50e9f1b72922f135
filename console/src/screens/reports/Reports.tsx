import { useTranslation } from 'react-i18next'

import { ExportPanel } from './ExportPanel'
import { Scheduled } from './Scheduled'
import { Page } from '../../parts/Page'
import { TabBar } from '../../parts/TabBar'
import { useUrl } from '../../parts/search'

export default function Reports() {
  const { t } = useTranslation('reports')
  const [search, setSearch] = useUrl()
  return (
    <Page title={t('title')} lead={t('lead')}>
      <TabBar
        label={t('title')}
        active={search.tab === 'scheduled' ? 'scheduled' : 'export'}
        onChange={(key) => setSearch({ tab: key === 'export' ? undefined : key })}
        tabs={[
          { key: 'export', label: t('tab.export'), children: <ExportPanel /> },
          { key: 'scheduled', label: t('tab.scheduled'), children: <Scheduled /> },
        ]}
      />
    </Page>
  )
}
