import { useQueryClient } from '@tanstack/react-query'
import { Button, Checkbox, Modal, Skeleton } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { PlanView } from './PlanView'
import { Progress } from './Progress'
import { SettingsFields } from './SettingsFields'
import { on, standing, type Settings } from './shapes'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'
import { TabBar } from '../../parts/TabBar'
import { useSettled } from '../../parts/useSettled'

type Props = { target: string; name: string; close: () => void }

// EnableDialog shows what protecting a cluster takes, asks for consent, and follows the installation to its end.
export default function EnableDialog({ target, name, close }: Props) {
  const { t } = useTranslation('protection')
  useLive(['protection'], ['/api/v1/protection/{target}'])
  const path = { target: Number(target) }
  const status = api.useQuery('get', '/api/v1/protection/{target}', { params: { path } }, { refetchInterval: (q) => (q.state.data && ['installing', 'removing'].includes(q.state.data.state) ? 3000 : false) })
  const s = status.data
  const running = !!s && on(s.state)
  const wide = { width: 940, style: { top: 24 }, styles: { body: { maxHeight: 'calc(100vh - 190px)', overflow: 'auto' } } } as const
  if (!s)
    return (
      <Modal open title={t('enableTitle', { name })} onCancel={close} footer={null} {...wide}>
        {status.error ? <Problem error={status.error} retry={() => void status.refetch()} /> : <Skeleton active paragraph={{ rows: 8 }} />}
      </Modal>
    )
  if (running)
    return (
      <Modal
        open
        title={t('enableTitle', { name: s.name })}
        onCancel={close}
        {...wide}
        footer={
          <Button type="primary" onClick={close}>
            {standing(s.state) ? t('close') : t('goOnAlone')}
          </Button>
        }
      >
        <Progress status={s} />
      </Modal>
    )
  return <Ask target={target} name={s.name} first={s.settings} close={close} wide={wide} />
}

type AskProps = { target: string; name: string; first: Settings; close: () => void; wide: object }

// Ask is the plan, the settings and the consent.
function Ask({ target, name, first, close, wide }: AskProps) {
  const { t } = useTranslation('protection')
  const client = useQueryClient()
  const path = { target: Number(target) }
  const [settings, setSettings] = useState<Settings>(first)
  const [agreed, setAgreed] = useState(false)
  const [tab, setTab] = useState('plan')
  const asked = useSettled(settings)
  const plan = api.useQuery('post', '/api/v1/protection/{target}/plan', { params: { path }, body: { settings: asked } }, { placeholderData: (old) => old, retry: false, staleTime: 15_000 })
  const start = api.useMutation('post', '/api/v1/protection/{target}/enable', {
    onSuccess: () => void client.invalidateQueries({ predicate: (q) => q.queryKey[0] === 'get' && String(q.queryKey[1]).startsWith('/api/v1/protection') }),
  })
  const change = (next: Settings) => {
    setSettings(next)
    setAgreed(false) // what was agreed to may be another now
  }
  // The plan of other settings is none to agree to; it comes half a second after the last change.
  const current = !plan.isPlaceholderData && JSON.stringify(asked) === JSON.stringify(settings)
  const possible = current && !!plan.data && plan.data.reachable && (plan.data.stops ?? []).length === 0
  return (
    <Modal
      open
      title={t('enableTitle', { name })}
      onCancel={close}
      {...wide}
      footer={[
        <Button key="cancel" onClick={close}>
          {t('cancel')}
        </Button>,
        <Button key="ok" type="primary" loading={start.isPending} disabled={!possible || !agreed} onClick={() => start.mutate({ params: { path }, body: { consent: true, settings } })}>
          {t('enable')}
        </Button>,
      ]}
    >
      <div className={blocks.stack}>
        <p>{t('enableHint')}</p>
        <TabBar
          label={t('enableParts')}
          active={tab}
          onChange={setTab}
          tabs={[
            {
              key: 'plan',
              label: t('plan.title'),
              children: plan.error ? <Problem error={plan.error} retry={() => void plan.refetch()} title={t('plan.failed')} /> : plan.data ? <PlanView plan={plan.data} settings={settings} change={change} /> : <Skeleton active paragraph={{ rows: 10 }} />,
            },
            { key: 'settings', label: t('settings.title'), children: <SettingsFields settings={settings} change={change} /> },
          ]}
        />
        <Checkbox checked={agreed} disabled={!possible} onChange={(e) => setAgreed(e.target.checked)}>
          {t('consent', { count: plan.data?.objects?.length ?? 0, name })}
        </Checkbox>
        {start.error ? <Problem error={start.error} /> : null}
      </div>
    </Modal>
  )
}
