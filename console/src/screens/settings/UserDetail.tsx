import { Alert, App, Button, Popconfirm, Skeleton } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { GrantsEditor, useGrantText, type Grant } from './GrantsEditor'
import { SessionList } from './SessionList'
import css from './Settings.module.css'
import { useTokenColumns } from './Tokens'
import { api, type Schemas } from '../../api/client'
import { useProfile } from '../../app/session'
import { Copy } from '../../parts/Copy'
import { DataTable } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { SlideOver } from '../../parts/SlideOver'
import { When } from '../../parts/When'
import { whole } from '../../parts/whole'
import { useFormat } from '../../text/format'

type User = Schemas['User']

// UserDetail is what an administrator can do for one user.
export function UserDetail({ id, onClose }: { id: string | undefined; onClose: () => void }) {
  const { t } = useTranslation('settings')
  const query = api.useQuery('get', '/api/v1/users/{id}', { params: { path: { id: Number(id ?? 0) } } }, { enabled: Boolean(id) })
  return (
    <SlideOver open={Boolean(id)} onClose={onClose} title={query.data?.name ?? t('users.one')}>
      {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : null}
      {query.isPending && <Skeleton active />}
      {query.data && (
        <div className={css.stack} key={query.data.id}>
          <Facts user={query.data} />
          <Reset user={query.data} />
          <Places user={query.data} />
          <SessionList path="/api/v1/users/{id}/sessions" user={query.data.id} />
          <Programs id={query.data.id} />
          <End user={query.data} onGone={onClose} />
        </div>
      )}
    </SlideOver>
  )
}

function useAgain() {
  const client = useQueryClient()
  return () => void client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/users') })
}

function Facts({ user }: { user: User }) {
  const { t } = useTranslation('settings')
  return (
    <dl className={css.facts}>
      <dt>{t('users.display')}</dt>
      <dd>{user.displayName || '–'}</dd>
      <dt>{t('users.email')}</dt>
      <dd>{user.email || '–'}</dd>
      <dt>{t('users.state')}</dt>
      <dd>{user.disabled ? t('users.disabled') : t('users.active')}</dd>
      <dt>{t('users.way')}</dt>
      <dd>{user.providerId ? t('users.provider') : user.hasPassword ? t('users.password') : t('users.invited')}</dd>
      <dt>{t('users.signedIn')}</dt>
      <dd>
        <When at={user.signedInAt} />
      </dd>
    </dl>
  )
}

function Reset({ user }: { user: User }) {
  const { t } = useTranslation('settings')
  const { dateTime } = useFormat()
  const reset = api.useMutation('post', '/api/v1/users/{id}/reset')
  if (user.providerId || user.disabled) return null
  const link = reset.data && `${location.origin}/reset#token=${reset.data.token}`
  return (
    <Panel title={t('reset.title')}>
      <div className={css.stack}>
        <span className="text-soft">{t('reset.hint')}</span>
        {reset.error && <Problem error={reset.error} />}
        {link ? (
          <Alert
            type="warning"
            showIcon
            title={t('reset.once', { time: dateTime(reset.data.expiresAt) })}
            description={
              <div className={css.stack}>
                <code className={css.once} data-testid="reset-link">
                  {link}
                </code>
                <div>
                  <Copy text={link} label={t('reset.copy')} />
                </div>
              </div>
            }
          />
        ) : (
          <Popconfirm title={t('reset.ask')} okText={t('reset.make')} cancelText={t('cancel')} onConfirm={() => reset.mutate({ params: { path: { id: Number(user.id) } } })}>
            <Button className={css.form} loading={reset.isPending}>
              {t('reset.make')}
            </Button>
          </Popconfirm>
        )}
      </div>
    </Panel>
  )
}

function Places({ user }: { user: User }) {
  const { t } = useTranslation('settings')
  const { message } = App.useApp()
  const again = useAgain()
  const text = useGrantText()
  const [grants, setGrants] = useState<Grant[]>(user.grants ?? [])
  const save = api.useMutation('put', '/api/v1/users/{id}/grants', {
    onSuccess: () => {
      again()
      void message.success(t('saved'))
    },
  })
  const same = JSON.stringify(grants) === JSON.stringify(user.grants ?? [])
  return (
    <Panel title={t('users.roles')}>
      <div className={css.stack}>
        <GrantsEditor value={grants} onChange={setGrants} />
        {(user.mapped ?? []).length > 0 && <span className="text-soft">{t('users.mapped', { list: (user.mapped ?? []).map(text).join(' · ') })}</span>}
        {save.error && <Problem error={save.error} />}
        <div>
          <Button type="primary" disabled={same} loading={save.isPending} onClick={() => save.mutate({ params: { path: { id: Number(user.id) } }, body: { grants } })}>
            {t('users.saveRoles')}
          </Button>
        </div>
      </div>
    </Panel>
  )
}

function Programs({ id }: { id: string }) {
  const { t } = useTranslation('settings')
  const query = api.useQuery('get', '/api/v1/users/{id}/tokens', { params: { path: { id: Number(id) } } })
  const columns = useTokenColumns('/api/v1/users/{id}/tokens')
  return (
    <Panel title={t('tokens.title')}>
      <DataTable name="user-tokens" label={t('tokens.title')} query={whole(query)} columns={columns.list} rowKey={(r) => r.id} height="260px" empty={<EmptyState title={t('tokens.noneOf')} />} />
      {columns.error ? <Problem error={columns.error} /> : null}
    </Panel>
  )
}

function End({ user, onGone }: { user: User; onGone: () => void }) {
  const { t } = useTranslation('settings')
  const again = useAgain()
  const self = useProfile().user?.id === user.id
  const change = api.useMutation('patch', '/api/v1/users/{id}', { onSuccess: again })
  const remove = api.useMutation('delete', '/api/v1/users/{id}', {
    onSuccess: () => {
      onGone()
      again()
    },
  })
  const out = api.useMutation('delete', '/api/v1/users/{id}/sessions', { onSuccess: again })
  if (self) return null
  const at = { params: { path: { id: Number(user.id) } } }
  const error = change.error ?? remove.error ?? out.error
  return (
    <Panel title={t('users.end')}>
      {error ? <Problem error={error} /> : null}
      <div className={css.row}>
        <Button onClick={() => change.mutate({ ...at, body: { disabled: !user.disabled } })} loading={change.isPending}>
          {user.disabled ? t('users.enable') : t('users.disable')}
        </Button>
        <Button onClick={() => out.mutate(at)} loading={out.isPending}>
          {t('users.signOut')}
        </Button>
        <Popconfirm title={t('users.removeAsk', { name: user.name })} okText={t('users.remove')} cancelText={t('cancel')} onConfirm={() => remove.mutate(at)}>
          <Button danger>{t('users.remove')}</Button>
        </Popconfirm>
      </div>
    </Panel>
  )
}
