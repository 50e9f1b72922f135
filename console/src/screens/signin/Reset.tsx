import { Alert, Button, Form } from 'antd'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { Door } from './Door'
import { NewPassword } from './NewPassword'
import { refusal } from './refusal'
import { secretOfLink } from './secretOfLink'
import { call } from '../../api/client'
import { Problem } from '../../parts/Problem'

// Reset sets a password with the one-time link of an administrator.
export default function Reset() {
  const { t } = useTranslation('signin')
  const [token] = useState(secretOfLink)
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const [done, setDone] = useState(false)
  const submit = async (v: { password: string }) => {
    setBusy(true)
    setError(null)
    try {
      await call.POST('/api/v1/password/reset', { body: { token, password: v.password } })
      setDone(true)
    } catch (cause) {
      setError(refusal(cause, { 410: t('badLink') }))
    } finally {
      setBusy(false)
    }
  }
  return (
    <Door title={t('reset')}>
      {done ? (
        <Alert type="success" showIcon role="status" title={t('resetDone')} action={<Link to="/sign-in">{t('signIn')}</Link>} />
      ) : !token ? (
        <Alert type="error" showIcon title={t('badLink')} />
      ) : (
        <Form layout="vertical" onFinish={(v: { password: string }) => void submit(v)} requiredMark={false}>
          {error !== null && (
            <Form.Item>
              <Problem error={error} />
            </Form.Item>
          )}
          <NewPassword />
          <Button type="primary" htmlType="submit" loading={busy} block>
            {t('save')}
          </Button>
        </Form>
      )}
    </Door>
  )
}
