import { Select } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './Settings.module.css'
import { usePreference } from '../../app/preference'
import { Panel } from '../../parts/Page'
import { useTargets } from './targets'

// DefaultScope says which clusters pages show when nothing else was chosen.
export function DefaultScope() {
  const { t } = useTranslation('settings')
  const [chosen, choose] = usePreference<string[]>('scope.default', [])
  const targets = useTargets()
  return (
    <Panel title={t('profile.scope')}>
      <div className={`${css.form} ${css.stack}`}>
        <label htmlFor="profile-scope">{t('profile.scopeHint')}</label>
        <Select id="profile-scope" mode="multiple" allowClear placeholder={t('profile.scopeAll')} value={chosen} onChange={choose} options={targets.options} showSearch={{ optionFilterProp: 'label' }} />
      </div>
    </Panel>
  )
}
