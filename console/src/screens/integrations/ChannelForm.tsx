import { Alert, App, Button, Checkbox, Form, Input, Popconfirm, Select } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { empty, fieldsOf, inputOf, kinds, type Channel, type Fields } from './channel'
import { ChannelFilter } from './ChannelFilter'
import { ChannelPlace } from './ChannelPlace'
import css from './Integrations.module.css'
import { api } from '../../api/client'
import { CodeView } from '../../parts/CodeView'
import { Problem } from '../../parts/Problem'
import { SlideOver } from '../../parts/SlideOver'

type Props = { channel: Channel | 'new' | undefined; onClose: () => void; onAdded: (id: string) => void }

// ChannelForm makes or changes a channel, shows what it would send, and sends a test.
export function ChannelForm({ channel, onClose, onAdded }: Props) {
  const { t } = useTranslation('integrations')
  return (
    <SlideOver open={channel !== undefined} onClose={onClose} title={channel === 'new' ? t('channel.add') : (channel?.name ?? '')}>
      {channel && <Body key={channel === 'new' ? 'new' : channel.id} channel={channel === 'new' ? undefined : channel} onClose={onClose} onAdded={onAdded} />}
    </SlideOver>
  )
}

function Body({ channel, onClose, onAdded }: { channel?: Channel; onClose: () => void; onAdded: (id: string) => void }) {
  const { t } = useTranslation('integrations')
  const { message } = App.useApp()
  const client = useQueryClient()
  const [form] = Form.useForm<Fields>()
  const [dirty, setDirty] = useState(!channel)
  const kind = Form.useWatch('kind', form) ?? channel?.kind ?? empty.kind
  const done = (c: Channel) => {
    void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/channels' })
    void message.success(t('channel.saved'))
    form.setFieldsValue({ signingKey: '', authorization: '', password: '' })
    setDirty(false)
    if (!channel) onAdded(c.id)
  }
  const add = api.useMutation('post', '/api/v1/channels', { onSuccess: done })
  const change = api.useMutation('put', '/api/v1/channels/{id}', { onSuccess: done })
  const preview = api.useMutation('post', '/api/v1/channels/preview')
  const save = (f: Fields) => {
    const body = inputOf({ ...empty, ...f }, channel)
    if (channel) change.mutate({ params: { path: { id: Number(channel.id) } }, body })
    else add.mutate({ body })
  }
  const error = add.error ?? change.error
  return (
    <Form<Fields> form={form} layout="vertical" initialValues={channel ? fieldsOf(channel) : empty} onFinish={save} onValuesChange={() => setDirty(true)}>
      {channel?.failure && <Alert type="error" showIcon title={t('channel.lastFailure')} description={channel.failure} style={{ marginBottom: 16 }} />}
      <Form.Item name="name" label={t('channel.name')} rules={[{ required: true, whitespace: true, message: t('required') }]}>
        <Input maxLength={100} />
      </Form.Item>
      <Form.Item name="kind" label={t('channel.kind')}>
        <Select disabled={Boolean(channel)} options={kinds.map((k) => ({ value: k, label: t(`kind.${k}`) }))} />
      </Form.Item>
      <ChannelPlace kind={kind} secrets={channel?.secrets ?? []} />
      <ChannelFilter />
      <Form.Item name="language" label={t('channel.language')}>
        <Select
          options={[
            { value: 'en', label: 'English' },
            { value: 'zh', label: '简体中文' },
          ]}
        />
      </Form.Item>
      <Form.Item name="digest" label={t('channel.digest')}>
        <Select options={(['', 'hourly', 'daily'] as const).map((d) => ({ value: d, label: t(`digest.${d || 'none'}`) }))} />
      </Form.Item>
      <Form.Item name="enabled" valuePropName="checked" noStyle>
        <Checkbox>{t('channel.enabled')}</Checkbox>
      </Form.Item>
      <Form.Item name="shared" valuePropName="checked">
        <Checkbox>{t('channel.shared')}</Checkbox>
      </Form.Item>
      {error ? <Problem error={error} /> : null}
      {preview.error && <Problem error={preview.error} title={t('channel.previewFailed')} />}
      <div className={css.row}>
        <Button type="primary" htmlType="submit" loading={add.isPending || change.isPending}>
          {t('save')}
        </Button>
        <Button onClick={() => preview.mutate({ body: inputOf({ ...empty, ...form.getFieldsValue(true) }, channel) })} loading={preview.isPending}>
          {t('channel.preview')}
        </Button>
        {channel && <Remove channel={channel} onClose={onClose} />}
      </div>
      {preview.data && (
        <div className={css.stack} style={{ marginTop: 16 }}>
          <span className="text-soft">{t('channel.previewOf', { type: preview.data.contentType })}</span>
          <CodeView label={t('channel.preview')} text={preview.data.body} />
        </div>
      )}
      {channel && <Test channel={channel} dirty={dirty} />}
    </Form>
  )
}

// Test sends a message through the saved channel and shows what the receiver answered.
function Test({ channel, dirty }: { channel: Channel; dirty: boolean }) {
  const { t } = useTranslation('integrations')
  const client = useQueryClient()
  const test = api.useMutation('post', '/api/v1/channels/{id}/test', { onSettled: () => void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/channels' }) })
  return (
    <section className={css.stack} aria-label={t('channel.test')} style={{ marginTop: 20 }}>
      <div className={css.row}>
        <Button onClick={() => test.mutate({ params: { path: { id: Number(channel.id) } } })} loading={test.isPending} disabled={dirty}>
          {t('channel.test')}
        </Button>
        <span className="text-soft">{dirty ? t('channel.saveFirst') : t('channel.testHint')}</span>
      </div>
      {test.error && <Problem error={test.error} />}
      {test.data && <Alert role="status" type={test.data.ok ? 'success' : 'error'} showIcon title={test.data.ok ? t('channel.taken') : t('channel.notTaken')} description={test.data.answer || t('channel.noAnswer')} />}
      <Link to="/integrations/$section" params={{ section: 'deliveries' }} search={{ channel: channel.id }}>
        {t('channel.deliveries')}
      </Link>
    </section>
  )
}

function Remove({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const { t } = useTranslation('integrations')
  const client = useQueryClient()
  const remove = api.useMutation('delete', '/api/v1/channels/{id}', {
    onSuccess: () => {
      onClose()
      void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/channels' })
    },
  })
  return (
    <>
      <Popconfirm title={t('channel.removeAsk', { name: channel.name })} okText={t('remove')} cancelText={t('cancel')} onConfirm={() => remove.mutate({ params: { path: { id: Number(channel.id) } } })}>
        <Button danger loading={remove.isPending}>
          {t('remove')}
        </Button>
      </Popconfirm>
      {remove.error && <Problem error={remove.error} />}
    </>
  )
}
