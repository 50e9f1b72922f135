import { Link } from '@tanstack/react-router'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import type { Image, ImagePackage } from './model'
import { Origin } from './Origin'
import { Pick } from './Pick'
import { keep } from './Split'
import { api } from '../../api/client'
import { Choice } from '../../parts/Choice'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { listOf, useUrl } from '../../parts/search'
import { SearchBox } from '../../parts/SearchBox'
import { SeverityTag } from '../../parts/Severity'
import { useFormat } from '../../text/format'

type Sort = '-worst' | 'name' | '-name' | 'type' | '-type' | 'layer' | '-layer' | '-findings' | 'findings'

// Packages lists what the image holds.
export function Packages({ name, image, cluster }: { name: string; image: Image; cluster: number | undefined }) {
  const { t } = useTranslation('images')
  const [search, set] = useUrl()
  const type = listOf(search.type)
  const layer = search.layer ? Number(search.layer) : undefined
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/images/{digest}/packages',
    {
      params: {
        path: { digest: name },
        query: {
          limit: 200,
          target: cluster,
          type: type.length > 0 ? type : undefined,
          layer: Number.isNaN(layer) ? undefined : layer,
          origin: search.origin as 'base' | undefined,
          vulnerable: search.vulnerable as 'true' | undefined,
          q: search.q,
          sort: (search.sort as Sort | undefined) ?? '-worst',
        },
      },
    },
    paging,
  )
  const columns = usePackageColumns(image)
  const layers = image.layers.filter((s) => s.index >= 0).map((s) => ({ value: String(s.index), label: t('findings.layerNumber', { number: s.index }) }))
  const narrowed = [search.q, search.type, search.layer, search.origin, search.vulnerable].some(Boolean)
  const clear = () => set({ q: '', type: '', layer: '', origin: '', vulnerable: '' })
  return (
    <div className={css.stack}>
      <div className={css.filters}>
        <SearchBox label={t('packages.q')} value={search.q ?? ''} onChange={(q) => set({ q }, true)} />
        <Choice label={t('packages.type')} value={type} options={Object.keys(image.types ?? {}).map((v) => ({ value: v, label: v }))} onChange={(v) => set({ type: v })} width={150} />
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
        <Pick label={t('findings.layer')} value={search.layer} options={layers} onChange={(v) => set({ layer: v })} />
        <Pick
          label={t('packages.risky')}
          value={search.vulnerable}
          options={[
            { value: 'true', label: t('packages.riskyYes') },
            { value: 'false', label: t('packages.riskyNo') },
          ]}
          onChange={(v) => set({ vulnerable: v })}
        />
      </div>
      <DataTable
        name="image-packages"
        label={t('packages.label')}
        query={query}
        columns={columns}
        rowKey={(p) => `${p.type} ${p.name} ${p.version} ${p.path} ${p.layer}`}
        sort={search.sort ?? '-worst'}
        onSort={(sort) => set({ sort })}
        height="calc(100vh - 240px)"
        empty={
          narrowed ? (
            <EmptyState title={t('packages.filtered')} action={<Button onClick={clear}>{t('findings.clear')}</Button>} />
          ) : (
            <EmptyState title={t('packages.none')} hint={t('packages.noneHint')} />
          )
        }
      />
    </div>
  )
}

function usePackageColumns(image: Image): Column<ImagePackage>[] {
  const { t } = useTranslation('images')
  const { number } = useFormat()
  return [
    { key: 'name', title: t('packages.name'), width: 280, sort: 'name', render: (p) => <span title={p.name}>{p.name}</span> },
    { key: 'version', title: t('packages.version'), width: 170, render: (p) => <code title={p.version}>{p.version || '–'}</code> },
    { key: 'type', title: t('packages.type'), width: 90, sort: 'type', render: (p) => p.type },
    {
      key: 'risks',
      title: t('packages.risks'),
      width: 150,
      sort: 'worst',
      down: true,
      render: (p) =>
        p.findings > 0 && p.worst ? (
          <Link to="." search={keep(image, { tab: 'risks', package: p.name, version: p.version ?? '', path: p.path ?? '' })}>
            <SeverityTag severity={p.worst} /> {number(p.findings)}
          </Link>
        ) : (
          '0'
        ),
    },
    { key: 'fixed', title: t('packages.fixed'), width: 150, render: (p) => (p.fixedVersion ? <code title={p.fixedVersion}>{p.fixedVersion}</code> : p.findings > 0 ? <span className={css.soft}>{t('findings.noFix')}</span> : '–') },
    { key: 'layer', title: t('packages.layer'), width: 110, sort: 'layer', render: (p) => <Origin base={p.base} layer={p.layer} /> },
    { key: 'path', title: t('packages.path'), width: 260, render: (p) => (p.path ? <code title={p.path}>{p.path}</code> : '–') },
    { key: 'license', title: t('packages.license'), width: 140, hidden: true, render: (p) => p.license ?? '–' },
    { key: 'evidence', title: t('packages.evidence'), width: 130, hidden: true, render: (p) => p.evidence ?? '–' },
    { key: 'source', title: t('packages.source'), width: 140, hidden: true, render: (p) => p.source ?? '–' },
    { key: 'arch', title: t('packages.arch'), width: 100, hidden: true, render: (p) => p.arch ?? '–' },
  ]
}
