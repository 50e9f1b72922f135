import { Alert, Button, Form, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { Door } from './Door'
import { NewPassword } from './NewPassword'
import { refusal } from './refusal'
import { secretOfLink } from './secretOfLink'
import { call } from '../../api/client'
import { Problem } from '../../parts/Problem'
import { language } from '../../text/start'

type Values = { token: string; name: string; password: string }

// SetUp makes the first administrator, with the one-time link that the server printed.
export default function SetUp() {
  const { t } = useTranslation('signin')
  const [token] = useState(secretOfLink)
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const submit = async (v: Values) => {
    setBusy(true)
    setError(null)
    try {
      await call.POST('/api/v1/setup', { body: { token: token || v.token.trim(), name: v.name, password: v.password, language: language() } })
      location.replace('/')
    } catch (cause) {
      setError(refusal(cause, { 410: t('badLink') }))
    } finally {
      setBusy(false)
    }
  }
  return (
    <Door title={t('setUp')}>
      <p>{t('setUpHint')}</p>
      <Form layout="vertical" onFinish={(v: Values) => void submit(v)} requiredMark={false} initialValues={{ name: 'admin' }}>
        {error !== null && (
          <Form.Item>
            <Problem error={error} />
          </Form.Item>
        )}
        {!token && (
          <>
            <Form.Item>
              <Alert type="info" showIcon title={t('noToken')} />
            </Form.Item>
            <Form.Item label={t('token')} name="token" rules={[{ required: true, message: t('tokenNeeded') }]}>
              <Input autoComplete="off" />
            </Form.Item>
          </>
        )}
        <Form.Item label={t('name')} name="name" rules={[{ required: true, message: t('nameNeeded') }]}>
          <Input autoComplete="username" />
        </Form.Item>
        <NewPassword />
        <Button type="primary" htmlType="submit" loading={busy} block>
          {t('create')}
        </Button>
      </Form>
    </Door>
  )
}
