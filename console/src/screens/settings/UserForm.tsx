import { Button, Form, Input, Modal } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'

import { GrantsEditor, type Grant } from './GrantsEditor'
import { api } from '../../api/client'
import { Problem } from '../../parts/Problem'

type Fields = { name: string; displayName: string; email: string; grants: Grant[] }

// UserForm adds somebody. They get in by a one-time link, or by a provider that knows their name.
export function UserForm({ open, onClose, onAdded }: { open: boolean; onClose: () => void; onAdded: (id: string) => void }) {
  const { t } = useTranslation('settings')
  const client = useQueryClient()
  const add = api.useMutation('post', '/api/v1/users', {
    onSuccess: (user) => {
      void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/users' })
      onAdded(user.id)
    },
  })
  return (
    <Modal open={open} onCancel={onClose} title={t('users.add')} footer={null} width={640} destroyOnHidden mask={{ closable: false }}>
      <Form<Fields>
        layout="vertical"
        initialValues={{ name: '', displayName: '', email: '', grants: [{ role: 'viewer' }] }}
        onFinish={(f) => add.mutate({ body: { name: f.name, grants: f.grants, ...(f.displayName ? { displayName: f.displayName } : {}), ...(f.email ? { email: f.email } : {}) } })}
      >
        <Form.Item name="name" label={t('users.name')} extra={t('users.nameHint')} rules={[{ required: true, pattern: /^[a-z0-9][a-z0-9._@+-]{0,62}$/, message: t('users.nameHint') }]}>
          <Input maxLength={63} autoFocus autoComplete="off" />
        </Form.Item>
        <Form.Item name="displayName" label={t('users.display')}>
          <Input maxLength={128} autoComplete="off" />
        </Form.Item>
        <Form.Item name="email" label={t('users.email')} rules={[{ type: 'email', message: t('profile.emailForm') }]}>
          <Input maxLength={254} autoComplete="off" />
        </Form.Item>
        <Form.Item name="grants" label={t('users.roles')}>
          <GrantsEditor />
        </Form.Item>
        {add.error && <Problem error={add.error} />}
        <Button type="primary" htmlType="submit" loading={add.isPending}>
          {t('users.addNow')}
        </Button>
      </Form>
    </Modal>
  )
}
