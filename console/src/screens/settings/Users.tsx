import { UserAddOutlined } from '@ant-design/icons'
import { Button, Tag } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { useGrantText } from './GrantsEditor'
import { UserDetail } from './UserDetail'
import { UserForm } from './UserForm'
import { api, type Schemas } from '../../api/client'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Panel } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { useUrl } from '../../parts/search'
import { When } from '../../parts/When'

type User = Schemas['User']

// Users lists who may sign in; a row opens what can be done for one.
export default function Users() {
  const { t } = useTranslation('settings')
  const [url, set] = useUrl()
  const [adding, setAdding] = useState(false)
  const grantText = useGrantText()
  const query = api.useInfiniteQuery('get', '/api/v1/users', { params: { query: { limit: 50, search: url.q } } }, paging)
  const columns: Column<User>[] = [
    { key: 'name', title: t('users.name'), width: 170, render: (u) => u.name },
    { key: 'display', title: t('users.display'), width: 160, render: (u) => u.displayName || '–' },
    { key: 'email', title: t('users.email'), width: 180, render: (u) => u.email || '–', hidden: true },
    { key: 'grants', title: t('users.roles'), width: 280, render: (u) => [...(u.grants ?? []), ...(u.mapped ?? [])].map(grantText).join(' · ') || t('users.noRole') },
    { key: 'way', title: t('users.way'), width: 120, render: (u) => (u.providerId ? t('users.provider') : u.hasPassword ? t('users.password') : t('users.invited')) },
    { key: 'seen', title: t('users.signedIn'), width: 120, render: (u) => <When at={u.signedInAt} /> },
    { key: 'state', title: t('users.state'), width: 100, render: (u) => (u.disabled ? <Tag>{t('users.disabled')}</Tag> : t('users.active')) },
  ]
  return (
    <Panel
      title={t('users.title')}
      extra={
        <>
          <SearchBox label={t('users.search')} value={url.q ?? ''} onChange={(q) => set({ q }, true)} />
          <Button type="primary" icon={<UserAddOutlined />} onClick={() => setAdding(true)}>
            {t('users.add')}
          </Button>
        </>
      }
    >
      <DataTable<User>
        name="users"
        label={t('users.title')}
        query={query}
        columns={columns}
        rowKey={(u) => u.id}
        open={url.user}
        onOpen={(u) => set({ user: u.id })}
        empty={<EmptyState title={url.q ? t('users.noneFound') : t('users.none')} />}
      />
      <UserForm
        open={adding}
        onClose={() => setAdding(false)}
        onAdded={(id) => {
          setAdding(false)
          set({ user: id })
        }}
      />
      <UserDetail id={url.user} onClose={() => set({ user: undefined })} />
    </Panel>
  )
}
