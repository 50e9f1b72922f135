import { App, Button, Form, Input, Select } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'

import { DefaultScope } from './DefaultScope'
import { Password } from './Password'
import { SessionList } from './SessionList'
import css from './Settings.module.css'
import { api } from '../../api/client'
import { useAppearance } from '../../app/appearance'
import { useProfile } from '../../app/session'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { language, setLanguage, type Language } from '../../text/start'

const themes = ['', 'light', 'dark'] as const

// Profile is what somebody sets for themselves.
export default function Profile() {
  const { user } = useProfile()
  return (
    <>
      {user && <Own />}
      <Appearance />
      <DefaultScope />
      {user?.hasPassword && <Password />}
      <SessionList path="/api/v1/sessions" />
    </>
  )
}

type Names = { displayName: string; email: string }

function Own() {
  const { t } = useTranslation('settings')
  const { user } = useProfile()
  const { message } = App.useApp()
  const client = useQueryClient()
  const save = api.useMutation('patch', '/api/v1/session', {
    onSuccess: () => {
      void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/session' })
      void message.success(t('saved'))
    },
  })
  return (
    <Panel title={t('profile.own')}>
      <Form<Names>
        className={css.form}
        layout="vertical"
        initialValues={{ displayName: user?.displayName ?? '', email: user?.email ?? '' }}
        onFinish={(body) => save.mutate({ body })}
      >
        <Form.Item label={t('profile.user')}>
          <Input value={user?.name} readOnly aria-label={t('profile.user')} />
        </Form.Item>
        <Form.Item name="displayName" label={t('profile.name')}>
          <Input maxLength={128} autoComplete="name" />
        </Form.Item>
        <Form.Item name="email" label={t('profile.email')} rules={[{ type: 'email', message: t('profile.emailForm') }]}>
          <Input maxLength={254} autoComplete="email" />
        </Form.Item>
        {save.error && <Problem error={save.error} />}
        <Button type="primary" htmlType="submit" loading={save.isPending}>
          {t('save')}
        </Button>
      </Form>
    </Panel>
  )
}

function Appearance() {
  const { t } = useTranslation('settings')
  const { setMode, zone, setZone } = useAppearance()
  const save = api.useMutation('patch', '/api/v1/session')
  const speak = (to: Language) => {
    save.mutate({ body: { language: to } })
    void setLanguage(to)
  }
  return (
    <Panel title={t('profile.appearance')}>
      <Form className={css.form} layout="vertical">
        <Form.Item label={t('profile.language')} htmlFor="profile-language">
          <Select
            id="profile-language"
            value={language()}
            onChange={speak}
            options={[
              { value: 'en', label: 'English' },
              { value: 'zh', label: '简体中文' },
            ]}
          />
        </Form.Item>
        <Form.Item label={t('profile.zone')} htmlFor="profile-zone" extra={t('profile.zoneHint')}>
          <Select
            id="profile-zone"
            showSearch
            value={zone}
            onChange={setZone}
            options={[{ value: '', label: t('profile.zoneBrowser') }, ...Intl.supportedValuesOf('timeZone').map((z) => ({ value: z, label: z }))]}
          />
        </Form.Item>
        <Form.Item label={t('profile.theme')} htmlFor="profile-theme">
          <Select id="profile-theme" defaultValue={themes.find((m) => m === localStorage.getItem('theme')) ?? ''} onChange={setMode} options={themes.map((m) => ({ value: m, label: t(`profile.themes.${m || 'system'}`) }))} />
        </Form.Item>
      </Form>
    </Panel>
  )
}
