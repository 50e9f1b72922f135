import { Modal, Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { EnrolCluster } from './EnrolCluster'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { inPage } from '../assets/inPage'

type Props = { cluster: string; choose: (id: string) => void; onClose: () => void }

// Enrol brings agents onto the nodes of a cluster: which one, what that creates, and the token.
export default function Enrol({ cluster, choose, onClose }: Props) {
  const { t } = useTranslation('nodes')
  const [search, setSearch] = useState('')
  const found = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 50, search: search || undefined } } })
  const one = api.useQuery('get', '/api/v1/clusters/{id}', { params: { path: { id: Number(cluster) } } }, { enabled: Number(cluster) > 0 })
  const known = new Map((found.data?.items ?? []).filter((c) => c.kind !== 'snapshot').map((c) => [c.id, c.name]))
  if (one.data) known.set(one.data.id, one.data.name)
  return (
    <Modal open getContainer={inPage} title={t('enrolTitle')} width="min(860px, calc(100vw - 24px))" footer={null} onCancel={onClose} styles={{ body: { maxHeight: 'calc(100vh - 190px)', overflow: 'auto' } }}>
      <div className={blocks.stack}>
        <p>{t('enrolLead')}</p>
        <div className={blocks.field}>
          <label htmlFor="enrol-cluster">{t('cluster')}</label>
          <Select
            id="enrol-cluster"
            value={cluster || null}
            placeholder={t('chooseCluster')}
            options={[...known].map(([value, label]) => ({ value, label }))}
            loading={found.isFetching}
            showSearch={{ onSearch: setSearch, filterOption: false }}
            onChange={(id: string) => choose(id)}
          />
          <span className={blocks.hint}>{t('noSnapshots')}</span>
        </div>
        {Number(cluster) > 0 && <EnrolCluster key={cluster} id={cluster} />}
      </div>
    </Modal>
  )
}
