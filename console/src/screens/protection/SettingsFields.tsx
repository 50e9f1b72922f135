import { Checkbox, Input, InputNumber, Radio, Select } from 'antd'
import { useTranslation } from 'react-i18next'

import type { Settings } from './shapes'
import blocks from '../../parts/Blocks.module.css'
import { Words } from '../policies/Words'

type Props = { settings: Settings; change: (s: Settings) => void }
type Part = 'gatekeeper' | 'provider'

// SettingsFields are how a cluster is protected: what is left empty is as usual.
export function SettingsFields({ settings: s, change }: Props) {
  const { t } = useTranslation('protection')
  const set = (c: Partial<Settings>) => change({ ...s, ...c })
  return (
    <div className={blocks.stack}>
      <fieldset className={blocks.group}>
        <legend>{t('settings.failure')}</legend>
        <Radio.Group value={!!s.failClosed} onChange={(e) => set({ failClosed: e.target.value as boolean })} className={blocks.stack}>
          <Radio value={false}>{t('settings.open')}</Radio>
          <Radio value={true}>{t('settings.closed')}</Radio>
        </Radio.Group>
        {s.failClosed && <span className={blocks.warn}>{t('settings.closedWarning')}</span>}
      </fieldset>
      <div className={blocks.fields}>
        <div className={blocks.field}>
          <label htmlFor="settings-timeout">{t('settings.timeout')}</label>
          <InputNumber id="settings-timeout" min={1} max={10} precision={0} placeholder="3" value={s.timeoutSeconds || null} onChange={(n) => set({ timeoutSeconds: n ?? undefined })} style={{ width: '100%' }} />
        </div>
        <div className={blocks.field}>
          <label htmlFor="settings-language">{t('settings.language')}</label>
          <Select id="settings-language" value={s.language || 'en'} onChange={(language) => set({ language })} options={[{ value: 'en', label: 'English' }, { value: 'zh', label: '简体中文' }]} />
        </div>
        <div className={blocks.field}>
          <label htmlFor="settings-server">{t('settings.server')}</label>
          <Input id="settings-server" placeholder="https://stockade.example.com:8443" maxLength={500} value={s.server ?? ''} onChange={(e) => set({ server: e.target.value || undefined })} />
          <span className={blocks.hint}>{t('settings.serverHint')}</span>
        </div>
        <div className={blocks.field}>
          <label htmlFor="settings-console">{t('settings.console')}</label>
          <Input id="settings-console" placeholder="https://stockade.example.com:8443" maxLength={500} value={s.console ?? ''} onChange={(e) => set({ console: e.target.value || undefined })} />
          <span className={blocks.hint}>{t('settings.consoleHint')}</span>
        </div>
      </div>
      <Checkbox checked={!!s.wholeScope} onChange={(e) => set({ wholeScope: e.target.checked })}>
        {t('settings.wholeScope')}
      </Checkbox>
      <fieldset className={blocks.group}>
        <legend>{t('settings.alone')}</legend>
        <div className={blocks.fields}>
          <Words id="settings-namespaces" label={t('settings.systemNamespaces')} value={s.systemNamespaces} hint={t('settings.systemHint')} change={(systemNamespaces) => set({ systemNamespaces })} />
          <Words id="settings-users" label={t('settings.exceptUsers')} value={s.exceptUsers} change={(exceptUsers) => set({ exceptUsers })} />
          <Words id="settings-groups" label={t('settings.exceptGroups')} value={s.exceptGroups} change={(exceptGroups) => set({ exceptGroups })} />
        </div>
      </fieldset>
      {(['gatekeeper', 'provider'] as const).map((part) => (
        <Plugin key={part} part={part} settings={s} change={change} />
      ))}
    </div>
  )
}

// Plugin are the image and the pods of one of the two plug-ins.
function Plugin({ part, settings: s, change }: Props & { part: Part }) {
  const { t } = useTranslation('protection')
  const p = s[part] ?? {}
  const set = (c: Partial<NonNullable<Settings['provider']>>) => change({ ...s, [part]: { ...p, ...c } })
  const text = (field: 'image' | 'registry' | 'digest', placeholder: string) => (
    <div className={blocks.field}>
      <label htmlFor={`${part}-${field}`}>{t(`settings.${field}`)}</label>
      <Input id={`${part}-${field}`} placeholder={placeholder} maxLength={500} value={p[field] ?? ''} onChange={(e) => set({ [field]: e.target.value.trim() || undefined })} />
    </div>
  )
  return (
    <fieldset className={blocks.group}>
      <legend>{t(`part.${part}`)}</legend>
      <div className={blocks.fields}>
        <div className={blocks.field}>
          <label htmlFor={`${part}-replicas`}>{t('settings.replicas')}</label>
          <InputNumber id={`${part}-replicas`} min={part === 'provider' ? 2 : 1} max={20} precision={0} placeholder={part === 'provider' ? '2' : '3'} value={p.replicas || null} onChange={(n) => set({ replicas: n ?? undefined })} style={{ width: '100%' }} />
        </div>
        {text('registry', 'registry.example.com/mirror')}
        {text('image', t('settings.builtIn'))}
        {text('digest', 'sha256:…')}
        <Words id={`${part}-secrets`} label={t('settings.pullSecrets')} value={p.pullSecrets} change={(pullSecrets) => set({ pullSecrets })} />
      </div>
    </fieldset>
  )
}
