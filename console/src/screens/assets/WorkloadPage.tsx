import { Link, useParams } from '@tanstack/react-router'
import { Tag } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { AssetFrame } from './AssetFrame'
import { Findings } from './AssetTable'
import { Facts } from './Facts'
import type { AssetPage } from './shapes'
import { WorkloadContainers } from './WorkloadContainers'
import { api } from '../../api/client'
import { Panel } from '../../parts/Page'
import { useFormat } from '../../text/format'

function Images({ id }: { id: string }) {
  const { t } = useTranslation('assets')
  const query = api.useQuery('get', '/api/v1/assets', { params: { query: { kind: 'image', workload: Number(id), limit: 100 } } })
  const list = query.data?.items ?? []
  return (
    <Panel title={t('images')} className={css.half}>
      {list.length === 0 && !query.isPending && <p className={css.soft}>{t('noImages')}</p>}
      <ul className={css.list}>
        {list.map((i) => (
          <li key={i.id}>
            {i.digest ? (
              <Link to="/images/$digest" params={{ digest: i.digest }} className={css.anywhere}>
                {i.name}
              </Link>
            ) : (
              <span className={css.anywhere}>{i.name}</span>
            )}
            <Findings of={i} />
          </li>
        ))}
      </ul>
    </Panel>
  )
}

function Exposure({ asset }: { asset: AssetPage }) {
  const { t } = useTranslation('assets')
  const list = asset.facts?.exposures ?? []
  return (
    <Panel title={t('exposure')} className={css.half}>
      {!asset.facts ? (
        <p className={css.soft}>{t('noFacts')}</p>
      ) : list.length === 0 ? (
        <p className={css.good}>{t('notExposed')}</p>
      ) : (
        <ul className={css.plain}>
          {list.map((e, i) => (
            <li key={i}>
              <Tag color={e.private ? undefined : 'red'}>{e.kind}</Tag>
              {e.object} {(e.ports ?? []).length > 0 && t('ports', { ports: (e.ports ?? []).join(', ') })} {e.private && t('privateNetwork')}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

// WorkloadPage shows a workload: findings by kind, its images and containers, who it is and who reaches it.
export default function WorkloadPage() {
  const { t } = useTranslation('assets')
  const { number } = useFormat()
  const { id } = useParams({ strict: false })
  return (
    <AssetFrame
      id={id ?? ''}
      kind="workload"
      lead={(a) => (
        <>
          {(a.groupKind ?? '').split('.')[0]} · <Link to="/clusters/$id" params={{ id: a.targetId }}>{a.target}</Link> / {a.namespace}
        </>
      )}
    >
      {(a) => (
        <>
          <Panel title={t('facts')} className={css.third}>
            {a.facts ? (
              <Facts
                items={[
                  { label: t('serviceAccount'), value: a.facts.serviceAccount && <code>{a.facts.serviceAccount}</code> },
                  { label: t('token'), value: a.facts.token ? t('tokenYes') : t('tokenNo') },
                  { label: t('pods'), value: t('podsOf', { pods: number(a.facts.pods ?? 0), replicas: number(a.facts.replicas ?? 0) }) },
                  { label: t('hostNamespaces'), value: (a.facts.host ?? []).length > 0 ? <span className={css.bad}>{(a.facts.host ?? []).join(', ')}</span> : t('noneOfThem') },
                  { label: t('hostPaths'), value: (a.facts.hostPaths ?? []).length > 0 ? <span className={css.bad}>{(a.facts.hostPaths ?? []).join(', ')}</span> : t('noneOfThem') },
                  { label: t('nodes'), value: (a.facts.nodes ?? []).join(', ') },
                  { label: t('labels'), value: Object.keys(a.labels).length > 0 && <span className={css.labels}>{Object.entries(a.labels).map(([k, v]) => <code key={k}>{v ? `${k}=${v}` : k}</code>)}</span> },
                ]}
              />
            ) : (
              <p className={css.soft}>{t('noFacts')}</p>
            )}
          </Panel>
          <Images id={a.id} />
          <Exposure asset={a} />
          <WorkloadContainers list={a.facts?.containers ?? []} />
        </>
      )}
    </AssetFrame>
  )
}
