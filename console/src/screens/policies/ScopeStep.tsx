import { Alert, Checkbox, Input, Radio, Select } from 'antd'
import { useTranslation } from 'react-i18next'

import type { Draft } from './draft'
import { scopeWords } from './scopeWords'
import type { Scope } from './shapes'
import { useClusters } from './useClusters'
import { Words } from './Words'
import blocks from '../../parts/Blocks.module.css'
import { useFormat } from '../../text/format'

const operations = ['CREATE', 'UPDATE'] as const

// ScopeStep says for what a policy holds, and whom it lets in all the same.
export function ScopeStep({ draft, change }: { draft: Draft; change: (d: Draft) => void }) {
  const { t } = useTranslation('policies')
  const { list } = useFormat()
  const clusters = useClusters()
  const s: Scope = draft.scope ?? {}
  const set = (c: Partial<Scope>) => change({ ...draft, scope: { ...s, ...c } })
  const text = (field: 'namespaceSelector' | 'objectSelector') => (
    <div className={blocks.field}>
      <label htmlFor={`scope-${field}`}>{t(`scope.${field}`)}</label>
      <Input id={`scope-${field}`} value={s[field] ?? ''} maxLength={1000} placeholder="team=shop,tier in (web,api)" onChange={(e) => set({ [field]: e.target.value })} />
    </div>
  )
  return (
    <div className={blocks.stack}>
      <p role="status">
        <strong>{t('scope.holdsFor')}</strong> {scopeWords(draft.scope, t, list, clusters.name).join(' · ')}
      </p>
      <fieldset className={blocks.group}>
        <legend>{t('scope.where')}</legend>
        <div className={blocks.field}>
          <label htmlFor="scope-clusters">{t('scope.clusters')}</label>
          <Select
            id="scope-clusters"
            mode="multiple"
            allowClear
            value={(s.clusters ?? []).map(String)}
            options={clusters.list.map((c) => ({ value: c.id, label: c.name }))}
            placeholder={t('scopeWords.allClusters')}
            loading={clusters.query.isPending}
            showSearch={{ optionFilterProp: 'label' }}
            onChange={(ids: string[]) => set({ clusters: ids.map(Number) as Scope['clusters'] })}
          />
        </div>
        <div className={blocks.fields}>
          <Words id="scope-namespaces" label={t('scope.namespaces')} value={s.namespaces} placeholder={t('scopeWords.allNamespaces')} hint={t('scope.patternHint')} change={(namespaces) => set({ namespaces })} />
          <Words id="scope-excluded" label={t('scope.excludedNamespaces')} value={s.excludedNamespaces} change={(excludedNamespaces) => set({ excludedNamespaces })} />
          {text('namespaceSelector')}
        </div>
        <Checkbox checked={!!s.systemNamespaces} onChange={(e) => set({ systemNamespaces: e.target.checked })}>
          {t('scope.systemNamespaces')}
        </Checkbox>
        {s.systemNamespaces && <Alert type="warning" showIcon role="alert" title={t('scope.systemWarning')} description={t('scope.systemWarningHint')} />}
      </fieldset>
      <fieldset className={blocks.group}>
        <legend>{t('scope.what')}</legend>
        <div className={blocks.fields}>
          <Words id="scope-kinds" label={t('scope.kinds')} value={s.kinds} placeholder={t('scope.allKinds')} change={(kinds) => set({ kinds })} />
          {text('objectSelector')}
          <Words id="scope-images" label={t('scope.images')} value={s.images} placeholder="registry.example.com/shop/*" change={(images) => set({ images })} />
          <Words id="scope-excludedImages" label={t('scope.excludedImages')} value={s.excludedImages} change={(excludedImages) => set({ excludedImages })} />
        </div>
        <Radio.Group aria-label={t('scope.operations')} value={s.operations?.length === 1 ? s.operations[0] : ''} onChange={(e) => set({ operations: e.target.value ? [e.target.value as (typeof operations)[number]] : [] })}>
          <Radio value="">{t('scope.both')}</Radio>
          {operations.map((o) => (
            <Radio key={o} value={o}>
              {t(`scope.only.${o}`)}
            </Radio>
          ))}
        </Radio.Group>
      </fieldset>
      <fieldset className={blocks.group}>
        <legend>{t('scope.people')}</legend>
        <span className={blocks.hint}>{t('scope.peopleHint')}</span>
        <div className={blocks.fields}>
          <Words id="scope-users" label={t('scope.exceptUsers')} value={s.exceptUsers} placeholder="system:serviceaccount:ci:deployer" change={(exceptUsers) => set({ exceptUsers })} />
          <Words id="scope-groups" label={t('scope.exceptGroups')} value={s.exceptGroups} placeholder="system:masters" change={(exceptGroups) => set({ exceptGroups })} />
        </div>
      </fieldset>
    </div>
  )
}
