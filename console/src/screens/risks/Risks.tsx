import { FilterOutlined } from '@ant-design/icons'
import { Badge, Button, Drawer, Segmented } from 'antd'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { AssetsView } from './AssetsView'
import { Chips } from './Chips'
import { Export } from './Export'
import { FacetPanel } from './FacetPanel'
import { chipsOf, emptied, filterOf, keyOf, viewOf, views, type View } from './filter'
import { FindingsView } from './FindingsView'
import { KeysHelp } from './KeysHelp'
import { KindTabs } from './KindTabs'
import { RisksView } from './RisksView'
import { SavedViews } from './SavedViews'
import { useFacets } from './useFacets'
import { useAppearance } from '../../app/appearance'
import css from '../../parts/Filter.module.css'
import { Page } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { useUrl } from '../../parts/search'

export default function Risks() {
  const { t } = useTranslation('risks')
  const [search, setUrl] = useUrl()
  const { narrow } = useAppearance()
  const [drawer, setDrawer] = useState(false)
  const filter = useMemo(() => filterOf(search), [search])
  const view = viewOf(search)
  const facets = useFacets(filter)
  const panel = <FacetPanel filter={filter} facets={facets} change={(c) => setUrl({ ...c, open: undefined })} />
  const chips = chipsOf(filter).length
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        <>
          <SavedViews search={search} />
          <Export filter={filter} sort={view === 'findings' ? search.sort : undefined} />
          <KeysHelp />
        </>
      }
    >
      <KindTabs filter={filter} search={search} facets={facets.data} />
      <div className={css.bar}>
        <Segmented<View>
          aria-label={t('view')}
          value={view}
          options={views.map((v) => ({ value: v, label: t(`views.${v}`) }))}
          onChange={(v) => setUrl({ view: v, sort: undefined, open: undefined })}
        />
        <SearchBox label={t('search')} placeholder={t('searchHint')} value={filter.q ?? ''} onChange={(q) => setUrl({ q, open: undefined }, true)} />
        {narrow && (
          <Badge count={chips} size="small">
            <Button icon={<FilterOutlined />} onClick={() => setDrawer(true)}>
              {t('filters')}
            </Button>
          </Badge>
        )}
      </div>
      <Chips filter={filter} facets={facets.data} change={(c) => setUrl({ ...c, open: undefined })} clear={() => setUrl(emptied())} />
      <div className={css.columns}>
        {!narrow && <aside aria-label={t('filters')}>{panel}</aside>}
        <div className={css.list}>
          {view === 'risks' && <RisksView filter={filter} search={search} />}
          {view === 'findings' && <FindingsView key={keyOf(filter)} filter={filter} search={search} />}
          {view === 'assets' && <AssetsView filter={filter} search={search} />}
        </div>
      </div>
      <Drawer open={narrow && drawer} onClose={() => setDrawer(false)} placement="left" size="min(100vw, 320px)" title={t('filters')}>
        {panel}
      </Drawer>
    </Page>
  )
}
