import { App, Button, Tag } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'

import { browserOf } from './browser'
import css from './Settings.module.css'
import { api, type Schemas } from '../../api/client'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'

type Session = Schemas['Session']

// SessionList shows one's own sessions, or those of a user, with a way to end them.
export function SessionList({ path, user }: { path: '/api/v1/sessions'; user?: undefined } | { path: '/api/v1/users/{id}/sessions'; user: string }) {
  const own = api.useQuery('get', '/api/v1/sessions', undefined, { enabled: !user })
  const others = api.useQuery('get', '/api/v1/users/{id}/sessions', { params: { path: { id: Number(user ?? 0) } } }, { enabled: Boolean(user) })
  const query = user ? others : own
  return <Sessions list={query.data?.items ?? undefined} error={query.error} path={path} />
}

function Sessions({ list, error, path }: { list?: Session[]; error: unknown; path: string }) {
  const { t } = useTranslation('settings')
  const { message } = App.useApp()
  const client = useQueryClient()
  const end = api.useMutation('delete', '/api/v1/sessions/{id}', {
    onSuccess: () => {
      void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === path })
      void message.success(t('sessions.ended'))
    },
  })
  return (
    <Panel title={t('sessions.title')}>
      {(error ?? end.error) ? <Problem error={error ?? end.error} /> : null}
      {list?.length === 0 && <p className="text-soft">{t('sessions.none')}</p>}
      <div className={css.scroll} tabIndex={0} role="group" aria-label={t('sessions.title')}>
        <table className={css.table}>
          <thead>
            <tr>
              <th scope="col">{t('sessions.from')}</th>
              <th scope="col">{t('sessions.browser')}</th>
              <th scope="col">{t('sessions.since')}</th>
              <th scope="col">{t('sessions.seen')}</th>
              <th scope="col">{t('sessions.until')}</th>
              <th scope="col">
                <span className="unseen">{t('actions')}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {list?.map((s) => (
              <tr key={s.id}>
                <td>{s.remote || '–'}</td>
                <td title={s.agent}>{browserOf(s.agent) || '–'}</td>
                <td>
                  <When at={s.createdAt} />
                </td>
                <td>
                  <When at={s.seenAt} />
                </td>
                <td>
                  <When at={s.expiresAt} />
                </td>
                <td>
                  {s.current ? (
                    <Tag>{t('sessions.this')}</Tag>
                  ) : (
                    <Button size="small" onClick={() => end.mutate({ params: { path: { id: Number(s.id) } } })} loading={end.isPending}>
                      {t('sessions.end')}
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}
