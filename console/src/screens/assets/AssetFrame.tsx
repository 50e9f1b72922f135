import { Link } from '@tanstack/react-router'
import { Skeleton } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { findingsOf, type Kind } from './AssetTable'
import type { AssetPage } from './shapes'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { useSaid } from '../../app/said/said'
import { Page, Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { Kinds } from '../overview/Kinds'

type Props = { id: string; kind: Kind; lead: (asset: AssetPage) => ReactNode; children: (asset: AssetPage) => ReactNode }

// AssetFrame is what the pages of workloads, nodes and namespaces have in common: findings by kind, and what could not be scanned.
export function AssetFrame({ id, kind, lead, children }: Props) {
  const { t } = useTranslation('assets')
  const { t: word } = useTranslation('words')
  const said = useSaid()
  useLive(['task'], ['/api/v1/assets/{id}'])
  const query = api.useQuery('get', '/api/v1/assets/{id}', { params: { path: { id: Number(id) } } })
  const a = query.data
  const parents = [{ title: t(`lists.${kind}`), to: `/assets/${kind}s` }]
  if (query.error && !a)
    return (
      <Page title={word(`asset.${kind}`)} parents={parents}>
        <Problem error={query.error} retry={() => void query.refetch()} />
      </Page>
    )
  if (!a)
    return (
      <Page title="…" parents={parents}>
        <Skeleton active paragraph={{ rows: 16 }} />
      </Page>
    )
  const all = findingsOf(a)
  return (
    <Page
      title={a.name}
      parents={parents}
      lead={
        <>
          <span className={css.soft}>{lead(a)}</span> · {t('columns.looked')}: <When at={a.lookedAt} />
        </>
      }
      actions={
        <Link to={all.to} search={all.search} className={css.button}>
          {t('allFindings')}
        </Link>
      }
    >
      <div className={css.grid}>
        <Panel title={t('findingsByKind')} className={css.wide}>
          <Kinds counts={a.kinds} link={(filter) => findingsOf(a, filter)} />
          {a.moreKinds && <p className={css.soft}>{t('moreKinds')}</p>}
        </Panel>
        {children(a)}
        {(a.gaps ?? []).length > 0 && (
          <Panel title={t('notScanned')} className={css.whole}>
            <ul className={css.plain}>
              {(a.gaps ?? []).map((g) => (
                <li key={g.id}>
                  <strong>{word(`gap.${g.code as 'limit'}`)}</strong> · {g.subject}: {g.what} · {said(g.reason)}
                </li>
              ))}
            </ul>
          </Panel>
        )}
      </div>
    </Page>
  )
}
