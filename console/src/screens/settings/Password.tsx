import { App, Button, Form, Input } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './Settings.module.css'
import { api } from '../../api/client'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'

type Fields = { old: string; new: string; again: string }

// Password changes one's own password. All other sessions end.
export function Password() {
  const { t } = useTranslation('settings')
  const { message } = App.useApp()
  const [form] = Form.useForm<Fields>()
  const save = api.useMutation('post', '/api/v1/password', {
    onSuccess: () => {
      form.resetFields()
      void message.success(t('password.done'))
    },
  })
  return (
    <Panel title={t('password.title')}>
      <Form<Fields> form={form} className={css.form} layout="vertical" onFinish={(f) => save.mutate({ body: { old: f.old, new: f.new } })}>
        <Form.Item name="old" label={t('password.old')} rules={[{ required: true, message: t('required') }]}>
          <Input.Password autoComplete="current-password" maxLength={1024} />
        </Form.Item>
        <Form.Item name="new" label={t('password.new')} extra={t('password.hint')} rules={[{ required: true, min: 12, message: t('password.hint') }]}>
          <Input.Password autoComplete="new-password" maxLength={1024} />
        </Form.Item>
        <Form.Item
          name="again"
          label={t('password.again')}
          dependencies={['new']}
          rules={[{ required: true, message: t('required') }, ({ getFieldValue }) => ({ validator: (_, value: string) => (!value || value === getFieldValue('new') ? Promise.resolve() : Promise.reject(new Error(t('password.differ')))) })]}
        >
          <Input.Password autoComplete="new-password" maxLength={1024} />
        </Form.Item>
        {save.error && <Problem error={save.error} />}
        <Button type="primary" htmlType="submit" loading={save.isPending}>
          {t('password.change')}
        </Button>
      </Form>
    </Panel>
  )
}
