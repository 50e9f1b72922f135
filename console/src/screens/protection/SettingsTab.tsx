import { useQueryClient } from '@tanstack/react-query'
import { App, Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { SettingsFields } from './SettingsFields'
import { on, type Status } from './shapes'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'

// SettingsTab changes how a cluster is protected.
export default function SettingsTab({ status: s, may }: { status: Status; may: boolean }) {
  const { t } = useTranslation('protection')
  const client = useQueryClient()
  const { notification } = App.useApp()
  const [settings, setSettings] = useState(s.settings)
  const put = api.useMutation('put', '/api/v1/protection/{target}/settings', {
    onSuccess: () => {
      notification.success({ title: t('settings.saved'), role: 'status' })
      void client.invalidateQueries({ predicate: (q) => q.queryKey[0] === 'get' && String(q.queryKey[1]).startsWith('/api/v1/protection') })
    },
  })
  return (
    <Panel title={t('settings.title')}>
      <fieldset disabled={!may} className={blocks.group}>
        {on(s.state) && <p className={blocks.hint}>{t('settings.rolled')}</p>}
        <SettingsFields settings={settings} change={setSettings} />
        {put.error ? <Problem error={put.error} /> : null}
        {may && (
          <div className={blocks.row}>
            <Button type="primary" loading={put.isPending} onClick={() => put.mutate({ params: { path: { target: Number(s.id) } }, body: settings })}>
              {t('save')}
            </Button>
          </div>
        )}
      </fieldset>
    </Panel>
  )
}
