import { CloseOutlined, FilterOutlined } from '@ant-design/icons'
import { Badge, Button, Drawer } from 'antd'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { EventFacets } from './EventFacets'
import { EventList } from './EventList'
import { chipsOf, emptied, filterOf, keyOf, without, type Chip } from './filter'
import { api, type Schemas } from '../../api/client'
import { useAppearance } from '../../app/appearance'
import { useLive } from '../../app/live'
import css from '../../parts/Filter.module.css'
import { Page } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { listOf, useUrl } from '../../parts/search'
import { relative } from '../../text/format'

// Events is what policies refused, warned of and recorded at the door of clusters.
export default function Events() {
  const { t } = useTranslation('admission')
  const [search, setUrl] = useUrl()
  const { narrow } = useAppearance()
  const [drawer, setDrawer] = useState(false)
  const filter = useMemo(() => filterOf(search), [search])
  useLive(['admission'], ['/api/v1/admission-events', '/api/v1/admission-events/summary'])
  const summary = api.useQuery('get', '/api/v1/admission-events/summary', { params: { query: { target: filter.target ? listOf(filter.target).map(Number) : undefined, namespace: filter.namespace ? listOf(filter.namespace) : undefined } } }, { placeholderData: (old) => old })
  const change = (c: Parameters<typeof setUrl>[0]) => setUrl({ ...c, open: undefined })
  const chips = chipsOf(filter)
  const label = useLabel(summary.data)
  const panel = <EventFacets filter={filter} summary={summary.data} change={change} />
  return (
    <Page title={t('events')} lead={t('eventsLead')}>
      <div className={css.bar}>
        <SearchBox label={t('search')} placeholder={t('searchHint')} value={filter.q ?? ''} onChange={(q) => setUrl({ q, open: undefined }, true)} />
        {narrow && (
          <Badge count={chips.length} size="small">
            <Button icon={<FilterOutlined />} onClick={() => setDrawer(true)}>
              {t('filters')}
            </Button>
          </Badge>
        )}
      </div>
      {chips.length > 0 && (
        <div className={css.chips} role="group" aria-label={t('chosen')}>
          {chips.map((c) => (
            <button key={c.field + c.value} type="button" className={css.chip} onClick={() => change(without(filter, c))} aria-label={t('removeChip', { what: label(c) })}>
              <span>{label(c)}</span>
              <CloseOutlined aria-hidden />
            </button>
          ))}
          <Button type="link" size="small" onClick={() => setUrl(emptied())}>
            {t('clear')}
          </Button>
        </div>
      )}
      <div className={css.columns}>
        {!narrow && <aside aria-label={t('filters')}>{panel}</aside>}
        <div className={css.list}>
          <EventList key={keyOf(filter)} filter={filter} search={search} summary={summary.data} />
        </div>
      </div>
      <Drawer open={narrow && drawer} onClose={() => setDrawer(false)} placement="left" size="min(100vw, 320px)" title={t('filters')}>
        {panel}
      </Drawer>
    </Page>
  )
}

// useLabel says a condition of the filter in words.
function useLabel(summary: Schemas['AdmissionSummary'] | undefined) {
  const { t } = useTranslation('admission')
  return ({ field, value }: Chip): string => {
    const lists: Partial<Record<Chip['field'], Schemas['AdmissionCount'][] | null>> = { policy: summary?.policies, rule: summary?.rules, target: summary?.clusters }
    const found = lists[field]?.find((c) => c.id === value)
    const word = field === 'kind' ? t(`kind.${value as 'blocked'}`) : field === 'state' ? t(`state.${value as 'handled'}`) : field === 'action' ? t(`action.${value as 'block'}`) : field === 'since' ? relative(value) : (found?.title || found?.name || value)
    return `${t(`field.${field}`)}: ${word}`
  }
}
