import { Button, Form, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { refusal } from './refusal'
import { call } from '../../api/client'
import { Problem } from '../../parts/Problem'

type Props = { name?: string; onDone: () => void } // name: only this user may

// CredentialsForm signs in with name and password.
export function CredentialsForm({ name, onDone }: Props) {
  const { t } = useTranslation('signin')
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const submit = async (values: { name: string; password: string }) => {
    setBusy(true)
    setError(null)
    try {
      await call.POST('/api/v1/session', { body: { name: name ?? values.name, password: values.password } })
      onDone()
    } catch (cause) {
      setError(refusal(cause, { 403: t('wrong'), 429: t('refused.throttled') }))
    } finally {
      setBusy(false)
    }
  }
  return (
    <Form layout="vertical" onFinish={(v: { name: string; password: string }) => void submit(v)} requiredMark={false} initialValues={{ name }}>
      {error !== null && (
        <Form.Item>
          <Problem error={error} title={t('failed')} />
        </Form.Item>
      )}
      <Form.Item label={t('name')} name="name" rules={[{ required: true, message: t('nameNeeded') }]}>
        <Input autoComplete="username" autoFocus={!name} disabled={Boolean(name)} />
      </Form.Item>
      <Form.Item label={t('password')} name="password" rules={[{ required: true, message: t('passwordNeeded') }]}>
        <Input.Password autoComplete="current-password" autoFocus={Boolean(name)} />
      </Form.Item>
      <Button type="primary" htmlType="submit" loading={busy} block>
        {t('signIn')}
      </Button>
    </Form>
  )
}
