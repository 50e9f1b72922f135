import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Checkbox, Form, Input, Select } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'

import css from './Settings.module.css'
import { useTargets } from './targets'
import { api, type Schemas } from '../../api/client'
import { Problem } from '../../parts/Problem'
import { SlideOver } from '../../parts/SlideOver'

type Provider = Schemas['Provider']
type Mapping = Schemas['Mapping']
type Fields = { name: string; issuer: string; clientId: string; clientSecret: string; groupsClaim: string; mappings: Mapping[]; disabled: boolean }

const roles = ['administrator', 'approver', 'operator', 'auditor', 'viewer'] as const

// ProviderForm adds or changes a provider. The secret is never shown: an empty field leaves it as it is.
export function ProviderForm({ provider, onClose }: { provider: Provider | 'new' | null; onClose: () => void }) {
  const { t } = useTranslation('settings')
  return (
    <SlideOver open={provider !== null} onClose={onClose} title={provider === 'new' ? t('providers.add') : t('providers.edit')}>
      {provider && <Body provider={provider === 'new' ? undefined : provider} onDone={onClose} />}
    </SlideOver>
  )
}

function Body({ provider: p, onDone }: { provider?: Provider; onDone: () => void }) {
  const { t } = useTranslation('settings')
  const client = useQueryClient()
  const done = () => {
    void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/providers' })
    onDone()
  }
  const add = api.useMutation('post', '/api/v1/providers', { onSuccess: done })
  const change = api.useMutation('put', '/api/v1/providers/{id}', { onSuccess: done })
  const save = (f: Fields) => {
    const body = {
      name: f.name,
      issuer: f.issuer,
      clientId: f.clientId,
      groupsClaim: f.groupsClaim,
      mappings: f.mappings.map((m) => ({ ...m, targetId: m.targetId || undefined })),
      disabled: f.disabled,
      scopes: p?.scopes ?? undefined,
      ...(f.clientSecret ? { clientSecret: f.clientSecret } : {}),
    }
    if (p) change.mutate({ params: { path: { id: Number(p.id) } }, body })
    else add.mutate({ body })
  }
  const error = add.error ?? change.error
  const wanted = [{ required: true, whitespace: true, message: t('required') }]
  return (
    <Form<Fields>
      layout="vertical"
      initialValues={{ name: p?.name ?? '', issuer: p?.issuer ?? '', clientId: p?.clientId ?? '', clientSecret: '', groupsClaim: p?.groupsClaim ?? 'groups', mappings: p?.mappings ?? [], disabled: p?.disabled ?? false }}
      onFinish={save}
    >
      <Form.Item name="name" label={t('providers.name')} extra={t('providers.nameHint')} rules={wanted}>
        <Input maxLength={40} />
      </Form.Item>
      <Form.Item name="issuer" label={t('providers.issuer')} extra={t('providers.issuerHint')} rules={[{ required: true, type: 'url', message: t('providers.issuerHint') }]}>
        <Input maxLength={500} placeholder="https://id.example.com/realms/main" />
      </Form.Item>
      <Form.Item name="clientId" label={t('providers.client')} rules={wanted}>
        <Input maxLength={256} autoComplete="off" />
      </Form.Item>
      <Form.Item name="clientSecret" label={t('providers.secret')} extra={p?.hasSecret ? t('providers.secretKept') : undefined}>
        <Input.Password maxLength={4096} autoComplete="new-password" />
      </Form.Item>
      <Form.Item name="groupsClaim" label={t('providers.groups')} extra={t('providers.groupsHint')}>
        <Input maxLength={256} />
      </Form.Item>
      <Form.List name="mappings">{(fields, { add: more, remove }) => <Mappings fields={fields} more={() => more({ group: '', role: 'viewer' })} remove={remove} />}</Form.List>
      <Form.Item name="disabled" valuePropName="checked">
        <Checkbox>{t('providers.disable')}</Checkbox>
      </Form.Item>
      {error ? <Problem error={error} /> : null}
      <Button type="primary" htmlType="submit" loading={add.isPending || change.isPending}>
        {t('save')}
      </Button>
    </Form>
  )
}

function Mappings({ fields, more, remove }: { fields: { key: number; name: number }[]; more: () => void; remove: (i: number) => void }) {
  const { t } = useTranslation(['settings', 'words'])
  const targets = useTargets()
  return (
    <fieldset className={css.stack} style={{ border: 0, padding: 0, margin: '0 0 16px' }}>
      <legend>{t('settings:providers.mappings')}</legend>
      {fields.map((f) => (
        <div key={f.key} className={css.row}>
          <Form.Item noStyle name={[f.name, 'group']} rules={[{ required: true, message: t('settings:required') }]}>
            <Input aria-label={t('settings:providers.group')} placeholder={t('settings:providers.group')} style={{ width: 170 }} maxLength={256} />
          </Form.Item>
          <Form.Item noStyle name={[f.name, 'role']}>
            <Select aria-label={t('settings:grants.role')} style={{ width: 140 }} options={roles.map((r) => ({ value: r, label: t(`words:role.${r}`) }))} />
          </Form.Item>
          <Form.Item noStyle name={[f.name, 'targetId']}>
            <Select aria-label={t('settings:grants.where')} style={{ width: 170 }} allowClear placeholder={t('settings:grants.everywhere')} options={targets.options} />
          </Form.Item>
          <Button type="text" icon={<DeleteOutlined />} aria-label={t('settings:grants.remove', { number: f.name + 1 })} onClick={() => remove(f.name)} />
        </div>
      ))}
      <div>
        <Button icon={<PlusOutlined />} onClick={more}>
          {t('settings:providers.addMapping')}
        </Button>
      </div>
    </fieldset>
  )
}
