import { useNavigate } from '@tanstack/react-router'
import { Modal, Radio, Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Full } from './shapes'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'
import { inPage } from '../assets/inPage'
import { useEverywhere } from '../scans/TargetFields'

// ScanNow looks for one emergency now, on all clusters or some, and goes to the progress.
export default function ScanNow({ emergency: e, targets, onClose }: { emergency: Full; targets: string[]; onClose: () => void }) {
  const { t } = useTranslation('emergencies')
  const navigate = useNavigate()
  const everywhere = useEverywhere('scan')
  const [all, setAll] = useState(everywhere && targets.length === 0)
  const [chosen, setChosen] = useState(targets)
  const [search, setSearch] = useState('')
  const found = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 50, search: search || undefined } } })
  const named = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 500 } } }, { enabled: chosen.length > 0 })
  const known = new Map([...(named.data?.items ?? []), ...(found.data?.items ?? [])].map((c) => [c.id, c.name]))
  const start = api.useMutation('post', '/api/v1/emergencies/{emergency}/scan', { onSuccess: (task) => void navigate({ to: '/tasks/$id', params: { id: task.id } }) })
  return (
    <Modal
      open
      getContainer={inPage}
      title={t('scanTitle', { name: e.name || e.id })}
      okText={t('scanNow')}
      cancelText={t('cancel')}
      okButtonProps={{ disabled: !all && chosen.length === 0 }}
      confirmLoading={start.isPending}
      onCancel={onClose}
      onOk={() => start.mutate({ params: { path: { emergency: e.id } }, body: all ? { allClusters: true } : { clusterIds: chosen } })}
    >
      <div className={blocks.stack}>
        <p>{t('scanLead')}</p>
        <Radio.Group value={all ? 'all' : 'some'} onChange={(x) => setAll(x.target.value === 'all')} aria-label={t('scanWhere')}>
          {everywhere && <Radio value="all">{t('allClusters')}</Radio>}
          <Radio value="some">{t('someClusters')}</Radio>
        </Radio.Group>
        {!all && (
          <Select
            mode="multiple"
            aria-label={t('clusters')}
            placeholder={t('chooseClusters')}
            value={chosen}
            options={[...known].map(([value, label]) => ({ value, label }))}
            loading={found.isFetching}
            showSearch={{ onSearch: setSearch, filterOption: false, searchValue: search }}
            onChange={(ids: string[]) => setChosen(ids)}
          />
        )}
        <p className="text-soft">{t('scanNeeds')}</p>
        {start.error ? <Problem error={start.error} /> : null}
      </div>
    </Modal>
  )
}
