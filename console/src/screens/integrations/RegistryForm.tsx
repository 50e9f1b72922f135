import { App, Button, Checkbox, Form, Input, Popconfirm } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'

import css from './Integrations.module.css'
import { RegistryCheck } from './RegistryState'
import { api, type Schemas } from '../../api/client'
import { Problem } from '../../parts/Problem'
import { SlideOver } from '../../parts/SlideOver'

type Registry = Schemas['Registry']
type Fields = { name: string; address: string; mirrorOf: string; insecure: boolean; ca: string; username: string; password: string; forget: boolean }

// RegistryForm makes, changes and tries a registry. The password is never shown: an empty field leaves it as it is.
export function RegistryForm({ registry, onClose }: { registry: Registry | 'new' | undefined; onClose: () => void }) {
  const { t } = useTranslation('integrations')
  return (
    <SlideOver open={registry !== undefined} onClose={onClose} title={registry === 'new' ? t('registry.add') : (registry?.name ?? '')}>
      {registry && <Body key={registry === 'new' ? 'new' : registry.id} registry={registry === 'new' ? undefined : registry} onClose={onClose} />}
    </SlideOver>
  )
}

function Body({ registry: r, onClose }: { registry?: Registry; onClose: () => void }) {
  const { t } = useTranslation('integrations')
  const { message } = App.useApp()
  const client = useQueryClient()
  const [form] = Form.useForm<Fields>()
  const again = () => void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/registries' })
  const saved = () => {
    again()
    void message.success(t('registry.saved'))
    onClose()
  }
  const add = api.useMutation('post', '/api/v1/registries', { onSuccess: saved })
  const change = api.useMutation('put', '/api/v1/registries/{id}', { onSuccess: saved })
  const remove = api.useMutation('delete', '/api/v1/registries/{id}', {
    onSuccess: () => {
      again()
      onClose()
    },
  })
  const attempt = api.useMutation('post', '/api/v1/registries/check')
  const check = api.useMutation('post', '/api/v1/registries/{id}/check', { onSuccess: again })
  const input = (f: Fields) => ({
    name: f.name.trim(),
    address: f.address.trim(),
    mirrorOf: f.mirrorOf.trim(),
    insecure: f.insecure,
    ca: f.ca.trim(),
    username: f.username.trim(),
    ...(f.password ? { password: f.password } : f.forget ? { password: '' } : {}),
  })
  const save = (f: Fields) => {
    if (r) change.mutate({ params: { path: { id: Number(r.id) } }, body: input(f) })
    else add.mutate({ body: input(f) })
  }
  const test = async () => {
    const f = await form.validateFields().catch(() => null)
    if (!f) return
    if (r && !form.isFieldsTouched()) check.mutate({ params: { path: { id: Number(r.id) } } })
    else attempt.mutate({ params: { query: r ? { id: Number(r.id) } : {} }, body: input(form.getFieldsValue(true) as Fields) })
  }
  const seen = check.data ?? attempt.data ?? r?.check
  const error = add.error ?? change.error ?? remove.error ?? attempt.error ?? check.error
  return (
    <Form<Fields>
      form={form}
      layout="vertical"
      initialValues={{ name: r?.name ?? '', address: r?.address ?? '', mirrorOf: r?.mirrorOf ?? '', insecure: r?.insecure ?? false, ca: r?.ca ?? '', username: r?.username ?? '', password: '', forget: false }}
      onFinish={save}
    >
      <Form.Item name="name" label={t('registry.name')} rules={[{ required: true, whitespace: true, message: t('required') }]}>
        <Input maxLength={100} />
      </Form.Item>
      <Form.Item name="address" label={t('registry.address')} extra={t('registry.addressHint')} rules={[{ required: true, whitespace: true, message: t('required') }]}>
        <Input maxLength={300} placeholder="registry.example.com" />
      </Form.Item>
      <Form.Item name="username" label={t('registry.user')} extra={t('registry.userHint')}>
        <Input maxLength={300} autoComplete="off" />
      </Form.Item>
      <Form.Item name="password" label={t('registry.password')} extra={r?.hasPassword ? t('secretKept') : undefined}>
        <Input.Password maxLength={8192} autoComplete="new-password" />
      </Form.Item>
      {r?.hasPassword && (
        <Form.Item name="forget" valuePropName="checked">
          <Checkbox>{t('registry.forget')}</Checkbox>
        </Form.Item>
      )}
      <Form.Item name="mirrorOf" label={t('registry.mirrorOf')} extra={t('registry.mirrorHint')}>
        <Input maxLength={300} placeholder="docker.io" />
      </Form.Item>
      <Form.Item name="ca" label={t('channel.ca')} extra={t('channel.caHint')}>
        <Input.TextArea autoSize={{ minRows: 2, maxRows: 6 }} spellCheck={false} />
      </Form.Item>
      <Form.Item name="insecure" valuePropName="checked">
        <Checkbox>{t('registry.insecure')}</Checkbox>
      </Form.Item>
      <div className={css.stack}>
        {error ? <Problem error={error} /> : null}
        <div className={css.row}>
          <Button type="primary" htmlType="submit" loading={add.isPending || change.isPending}>
            {t('save')}
          </Button>
          <Button onClick={() => void test()} loading={attempt.isPending || check.isPending}>
            {t('registry.test')}
          </Button>
          {r && (
            <Popconfirm title={t('registry.removeAsk', { name: r.name })} okText={t('remove')} cancelText={t('cancel')} onConfirm={() => remove.mutate({ params: { path: { id: Number(r.id) } } })}>
              <Button danger>{t('remove')}</Button>
            </Popconfirm>
          )}
        </div>
        {seen && <RegistryCheck check={seen} />}
      </div>
    </Form>
  )
}
