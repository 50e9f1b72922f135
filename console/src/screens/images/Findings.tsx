import { CloseOutlined } from '@ant-design/icons'
import { useNavigate } from '@tanstack/react-router'
import { Button, Tag } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import type { Image, otherKinds, vulnerabilityKinds } from './model'
import { Pick } from './Pick'
import { useFindingColumns } from './useFindingColumns'
import { api } from '../../api/client'
import { Choice } from '../../parts/Choice'
import { DataTable, paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { listOf, useUrl } from '../../parts/search'
import { SearchBox } from '../../parts/SearchBox'
import { severities, type SeverityWord } from '../../parts/Severity'

type Kind = (typeof vulnerabilityKinds)[number] | (typeof otherKinds)[number]
type Sort = '-priority' | '-severity' | 'severity' | 'package' | '-package' | 'layer' | '-layer' | 'rule' | '-rule' | '-epss' | '-cvss'
type Props = { name: string; image: Image; cluster: number | undefined; kinds?: readonly Kind[]; table: string }

// Findings lists risks of some kinds by their place in the image.
export function Findings({ name, image, cluster, kinds, table }: Props) {
  const { t } = useTranslation(['images', 'words'])
  const [search, set] = useUrl()
  const navigate = useNavigate()
  const severity = listOf(search.severity) as SeverityWord[]
  const layer = search.layer === undefined || search.layer === '' || Number.isNaN(Number(search.layer)) ? undefined : Number(search.layer)
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/images/{digest}/findings',
    {
      params: {
        path: { digest: name },
        query: {
          limit: 100,
          target: cluster,
          kind: kinds && [...kinds],
          package: search.package,
          version: search.version,
          path: search.path,
          severity: severity.length > 0 ? severity : undefined,
          origin: search.origin as 'base' | undefined,
          layer,
          fixable: search.fixable as 'true' | undefined,
          kev: search.kev as 'true' | undefined,
          q: search.q,
          sort: (search.sort as Sort | undefined) ?? '-priority',
        },
      },
    },
    paging,
  )
  const packages = table !== 'image-others'
  const columns = useFindingColumns(packages, !kinds)
  const layers = image.layers.filter((s) => s.index >= 0).map((s) => ({ value: String(s.index), label: t('findings.layerNumber', { number: s.index }) }))
  const narrowed = [search.severity, search.origin, search.layer, search.fixable, search.kev, search.q, search.package, search.path].some(Boolean)
  const clear = () => set({ severity: '', origin: '', layer: '', fixable: '', kev: '', q: '', package: '', version: '', path: '' })
  return (
    <div className={css.stack}>
      <div className={css.filters}>
        {search.package && (
          <Tag closable={{ closeIcon: <CloseOutlined />, 'aria-label': t('findings.clear') }} onClose={() => set({ package: '', version: '', path: '' })}>
            {t('findings.only', { value: [search.package, search.version].filter(Boolean).join(' ') })}
          </Tag>
        )}
        <SearchBox label={t('findings.q')} value={search.q ?? ''} onChange={(q) => set({ q }, true)} />
        <Choice label={t('findings.severity')} value={severity} options={severities.map((s) => ({ value: s, label: t(`words:severity.${s}`) }))} onChange={(v) => set({ severity: v })} />
        <Pick
          label={t('findings.origin')}
          value={search.origin}
          options={[
            { value: 'base', label: t('split.base') },
            { value: 'own', label: t('split.own') },
          ]}
          onChange={(v) => set({ origin: v })}
          width={170}
        />
        <Pick label={t('findings.layer')} value={search.layer} options={[...layers, { value: '-1', label: t('findings.noLayer') }]} onChange={(v) => set({ layer: v })} />
        {packages && (
          <>
            <Pick
              label={t('findings.fixable')}
              value={search.fixable}
              options={[
                { value: 'true', label: t('list.fixableYes') },
                { value: 'false', label: t('list.fixableNo') },
              ]}
              onChange={(v) => set({ fixable: v })}
            />
            <Pick label={t('findings.kev')} value={search.kev} options={[{ value: 'true', label: t('findings.kevYes') }]} onChange={(v) => set({ kev: v })} />
          </>
        )}
      </div>
      <DataTable
        name={table}
        label={t('findings.label')}
        query={query}
        columns={columns}
        rowKey={(row) => row.id}
        rowHeight={56}
        sort={search.sort ?? '-priority'}
        onSort={(sort) => set({ sort })}
        onOpen={(row) => void navigate({ to: '/findings/$id', params: { id: row.id } })}
        height="calc(100vh - 240px)"
        empty={
          narrowed ? (
            <EmptyState title={t('findings.filtered')} action={<Button onClick={clear}>{t('findings.clear')}</Button>} />
          ) : (
            <EmptyState title={t('findings.none')} hint={image.read ? t('findings.noneHint') : t('unread.meaning')} />
          )
        }
      />
    </div>
  )
}
