import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Input, Select } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './Settings.module.css'
import { useTargets } from './targets'
import type { Schemas } from '../../api/client'

export type Grant = Schemas['Grant']

const roles = ['administrator', 'approver', 'operator', 'auditor', 'viewer'] as const

// GrantsEditor says which roles somebody has, and where: everywhere, in a cluster, in a namespace of it.
export function GrantsEditor({ value, onChange }: { value?: Grant[]; onChange?: (grants: Grant[]) => void }) {
  const { t } = useTranslation(['settings', 'words'])
  const targets = useTargets()
  const grants = value ?? []
  const set = (i: number, change: Partial<Grant>) => onChange?.(grants.map((g, k) => (k === i ? { ...g, ...change } : g)))
  const place = (g: Grant) => (g.targetId && g.targetId !== '0' ? g.targetId : '')
  return (
    <div className={css.stack}>
      {grants.map((g, i) => {
        const at = place(g)
        const known = targets.options.some((o) => o.value === at)
        return (
          <div key={i} className={css.row} role="group" aria-label={t('settings:grants.one', { number: i + 1 })}>
            <Select aria-label={t('settings:grants.role')} style={{ width: 150 }} value={g.role} onChange={(role) => set(i, { role })} options={roles.map((r) => ({ value: r, label: t(`words:role.${r}`) }))} />
            <Select
              aria-label={t('settings:grants.where')}
              style={{ width: 190 }}
              value={at}
              showSearch={{ optionFilterProp: 'label' }}
              onChange={(id) => set(i, { targetId: id || undefined, namespace: id ? g.namespace : undefined })}
              options={[{ value: '', label: t('settings:grants.everywhere') }, ...targets.options, ...(at && !known ? [{ value: at, label: targets.name(at) }] : [])]}
            />
            <Input aria-label={t('settings:grants.namespace')} style={{ width: 170 }} placeholder={t('settings:grants.allNamespaces')} disabled={!at} maxLength={253} value={g.namespace ?? ''} onChange={(e) => set(i, { namespace: e.target.value || undefined })} />
            <Button type="text" icon={<DeleteOutlined />} aria-label={t('settings:grants.remove', { number: i + 1 })} onClick={() => onChange?.(grants.filter((_, k) => k !== i))} />
          </div>
        )
      })}
      {grants.length === 0 && <span className="text-soft">{t('settings:grants.none')}</span>}
      <div>
        <Button icon={<PlusOutlined />} onClick={() => onChange?.([...grants, { role: 'viewer' }])}>
          {t('settings:grants.add')}
        </Button>
      </div>
    </div>
  )
}

// useGrantText says a grant in a few words.
export function useGrantText() {
  const { t } = useTranslation(['settings', 'words'])
  const targets = useTargets()
  return (g: Grant) => {
    const role = t(`words:role.${g.role}`)
    if (!g.targetId || g.targetId === '0') return t('settings:grants.textAll', { role })
    if (!g.namespace) return t('settings:grants.textTarget', { role, target: targets.name(g.targetId) })
    return t('settings:grants.textNamespace', { role, target: targets.name(g.targetId), namespace: g.namespace })
  }
}
