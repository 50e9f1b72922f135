import { Alert, Button } from 'antd'
import { useSearch } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { CredentialsForm } from './CredentialsForm'
import { Door } from './Door'
import css from './Door.module.css'
import { inside } from './next'
import { api } from '../../api/client'

const refusals = ['expired', 'provider', 'denied', 'disabled', 'no-role', 'throttled'] as const

export default function SignIn() {
  const { t } = useTranslation('signin')
  const search = useSearch({ strict: false }) as { error?: string; next?: string }
  const ways = api.useQuery('get', '/api/v1/session/ways')
  const refusal = refusals.find((r) => r === search.error)
  const next = inside(search.next)
  return (
    <Door title={t('signIn')}>
      <div className={css.ways}>
        {refusal && <Alert type="error" showIcon role="alert" title={t(`refused.${refusal}`)} />}
        {ways.data?.setup && <Alert type="info" showIcon title={t('noAdministrator')} description={t('noAdministratorHint')} />}
        {(ways.data?.providers ?? []).map((p) => (
          <Button key={p.id} block href={`/api/v1/session/oidc/${encodeURIComponent(p.id)}?next=${encodeURIComponent(next)}`}>
            {t('with', { name: p.name })}
          </Button>
        ))}
      </div>
      <CredentialsForm onDone={() => location.replace(next)} />
    </Door>
  )
}
