import { PlusOutlined } from '@ant-design/icons'
import { App, Button, Popconfirm } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { TokenForm } from './TokenForm'
import { api, type Schemas } from '../../api/client'
import { useProfile } from '../../app/session'
import { DataTable, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'
import { whole } from '../../parts/whole'
import { useActionName } from './actions'

type Token = Schemas['Token']

// Tokens are one's own, for programs.
export default function Tokens() {
  const { t } = useTranslation('settings')
  const { via } = useProfile()
  const [making, setMaking] = useState(false)
  const query = api.useQuery('get', '/api/v1/tokens')
  const columns = useTokenColumns('/api/v1/tokens')
  const make = via === 'session' && (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => setMaking(true)}>
      {t('tokens.add')}
    </Button>
  )
  return (
    <Panel title={t('tokens.title')} extra={make}>
      <DataTable<Token> name="tokens" label={t('tokens.title')} query={whole(query)} columns={columns.list} rowKey={(r) => r.id} empty={<EmptyState title={t('tokens.none')} hint={t('tokens.noneHint')} />} />
      {columns.error ? <Problem error={columns.error} /> : null}
      <TokenForm open={making} onClose={() => setMaking(false)} />
    </Panel>
  )
}

// useTokenColumns shows tokens and how to revoke them. path is of the list to read again.
export function useTokenColumns(path: string) {
  const { t } = useTranslation('settings')
  const { message } = App.useApp()
  const client = useQueryClient()
  const actionName = useActionName()
  const revoke = api.useMutation('delete', '/api/v1/tokens/{id}', {
    onSuccess: () => {
      void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === path })
      void message.success(t('tokens.revoked'))
    },
  })
  const list: Column<Token>[] = [
    { key: 'name', title: t('tokens.name'), width: 180, render: (r) => r.name },
    { key: 'may', title: t('tokens.may'), width: 200, render: (r) => (r.actions ? r.actions.map((a) => actionName(a)).join(' · ') : t('tokens.all')) },
    { key: 'where', title: t('tokens.where'), width: 130, render: (r) => (r.places ? t('tokens.places', { count: r.places.length }) : t('tokens.everywhere')) },
    { key: 'created', title: t('tokens.created'), width: 120, render: (r) => <When at={r.createdAt} /> },
    { key: 'used', title: t('tokens.used'), width: 120, render: (r) => <When at={r.usedAt} /> },
    { key: 'expires', title: t('tokens.expires'), width: 130, render: (r) => (Date.parse(r.expiresAt) < Date.now() ? <Verdict state="bad" word={t('tokens.expired')} /> : <When at={r.expiresAt} />) },
    {
      key: 'revoke',
      title: t('actions'),
      width: 100,
      render: (r) => (
        <Popconfirm title={t('tokens.revokeAsk', { name: r.name })} okText={t('tokens.revoke')} cancelText={t('cancel')} onConfirm={() => revoke.mutate({ params: { path: { id: Number(r.id) } } })}>
          <Button size="small" danger>
            {t('tokens.revoke')}
          </Button>
        </Popconfirm>
      ),
    },
  ]
  return { list, error: revoke.error }
}
