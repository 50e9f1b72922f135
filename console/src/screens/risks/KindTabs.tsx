import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import type { Filter, Kind } from './filter'
import css from './Risks.module.css'
import type { Facets } from './useFacets'
import { changed, type Search } from '../../parts/search'
import { useFormat } from '../../text/format'

type Props = { filter: Filter; search: Search; facets?: Facets }

const order: Kind[] = ['system-vulnerability', 'application-vulnerability', 'emergency', 'configuration', 'iac', 'secret', 'malware', 'permission']

// KindTabs are the kinds of risk with their counts. Compliance is a page of its own: its clauses pass and fail, they are no findings.
export function KindTabs({ filter, search, facets }: Props) {
  const { t } = useTranslation(['risks', 'words'])
  const { number } = useFormat()
  const counts = new Map((facets?.kind ?? []).map((f) => [f.value, f]))
  const list = facets?.kind ?? []
  const total = list.reduce((sum, f) => sum + f.count, 0)
  const least = list.some((f) => f.atLeast)
  const tab = (key: string, kind: Kind | '', label: string, count: number | undefined, atLeast: boolean | undefined) => (
    <li key={key}>
      <Link to="/risks" search={changed(search, { kind, open: undefined })} aria-current={(filter.kind ?? '') === kind ? 'page' : undefined} activeOptions={{ exact: true, includeSearch: true }} className={css.tab}>
        {label} {facets && <span className={css.count}>{(atLeast ? '≥\u2009' : '') + number(count ?? 0)}</span>}
      </Link>
    </li>
  )
  return (
    <nav aria-label={t('kinds')} className={css.tabs}>
      <ul>
        {tab('all', '', t('all'), total, least)}
        {order.slice(0, 4).map((k) => tab(k, k, t(`words:kind.${k}`), counts.get(k)?.count, counts.get(k)?.atLeast))}
        <li>
          <Link to="/compliance" search={changed({}, { target: filter.target })} className={css.tab}>
            {t('compliance')}
          </Link>
        </li>
        {order.slice(4).map((k) => tab(k, k, t(`words:kind.${k}`), counts.get(k)?.count, counts.get(k)?.atLeast))}
      </ul>
    </nav>
  )
}

