import { Modal, Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { classes, type Class } from './shapes'
import { api, queries } from '../../api/client'
import { useMayOn } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'
import { inPage } from '../assets/inPage'

const path = '/api/v1/clusters/{id}/emergency-checks'

// Classes sets how much the checks of emergencies may touch on a cluster.
export default function Classes({ cluster, choose, onClose }: { cluster: string; choose: (id: string) => void; onClose: () => void }) {
  const { t } = useTranslation('emergencies')
  const [search, setSearch] = useState('')
  const found = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 50, search: search || undefined } } })
  const one = api.useQuery('get', '/api/v1/clusters/{id}', { params: { path: { id: Number(cluster) } } }, { enabled: Number(cluster) > 0 })
  const known = new Map((found.data?.items ?? []).map((c) => [c.id, c.name]))
  if (one.data) known.set(one.data.id, one.data.name)
  const now = api.useQuery('get', path, { params: { path: { id: Number(cluster) } } }, { enabled: Number(cluster) > 0 })
  const may = useMayOn('manage-clusters', cluster)
  const [chosen, setChosen] = useState<{ of: string; list: Class[] }>()
  const allowed = now.data ? classes.filter((c) => now.data.classes?.includes(c)) : []
  const list = chosen?.of === cluster ? chosen.list : allowed
  const save = api.useMutation('put', path, {
    onSuccess: () => {
      void queries.invalidateQueries({ predicate: (q) => q.queryKey[1] === path })
      onClose()
    },
  })
  return (
    <Modal
      open
      getContainer={inPage}
      title={t('classesTitle')}
      okText={t('save')}
      cancelText={t('cancel')}
      okButtonProps={{ disabled: !may || !now.data }}
      confirmLoading={save.isPending}
      onCancel={onClose}
      onOk={() => save.mutate({ params: { path: { id: Number(cluster) } }, body: { classes: list } })}
    >
      <div className={blocks.stack}>
        <p>{t('classesLead')}</p>
        <div className={blocks.field}>
          <label htmlFor="classes-cluster">{t('cluster')}</label>
          <Select
            id="classes-cluster"
            value={cluster || null}
            placeholder={t('chooseCluster')}
            options={[...known].map(([value, label]) => ({ value, label }))}
            loading={found.isFetching}
            showSearch={{ onSearch: setSearch, filterOption: false }}
            onChange={(id: string) => choose(id)}
          />
        </div>
        {now.data && (
          <fieldset className={blocks.group} disabled={!may}>
            <legend>{t('allowed')}</legend>
            {classes.map((c) => (
              <div key={c}>
                <label>
                  <input type="checkbox" checked={list.includes(c)} onChange={(x) => setChosen({ of: cluster, list: classes.filter((k) => (k === c ? x.target.checked : list.includes(k))) })} /> {t(`class.${c}`)}
                </label>
                <div className={blocks.hint}>{t(`classHint.${c}`)}</div>
              </div>
            ))}
          </fieldset>
        )}
        {now.data && list.length < classes.length && <p className="text-soft">{t('forbiddenHint')}</p>}
        {now.error ? <Problem error={now.error} /> : null}
        {save.error ? <Problem error={save.error} /> : null}
      </div>
    </Modal>
  )
}
