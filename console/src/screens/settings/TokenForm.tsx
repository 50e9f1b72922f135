import { Alert, Button, Checkbox, Form, Input, InputNumber, Modal } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'

import { actions, useActionName } from './actions'
import css from './Settings.module.css'
import { api } from '../../api/client'
import { useProfile } from '../../app/session'
import { Copy } from '../../parts/Copy'
import { Problem } from '../../parts/Problem'
import { useFormat } from '../../text/format'

type Fields = { name: string; days: number; actions: string[] }

// TokenForm makes a token and shows its text, once.
export function TokenForm({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation('settings')
  return (
    <Modal open={open} onCancel={onClose} title={t('tokens.add')} footer={null} destroyOnHidden mask={{ closable: false }}>
      <Make onClose={onClose} />
    </Modal>
  )
}

function Make({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('settings')
  const { dateTime } = useFormat()
  const client = useQueryClient()
  const profile = useProfile()
  const name = useActionName()
  const make = api.useMutation('post', '/api/v1/tokens', {
    onSuccess: () => void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/tokens' }),
  })
  if (make.data)
    return (
      <div className={css.stack}>
        <Alert type="warning" showIcon title={t('tokens.once')} />
        <code className={css.once} data-testid="token">
          {make.data.token}
        </code>
        <div className={css.row}>
          <Copy text={make.data.token} label={t('tokens.copy')} />
          <span className="text-soft">{t('tokens.until', { time: dateTime(make.data.expiresAt) })}</span>
        </div>
        <div>
          <Button type="primary" onClick={onClose}>
            {t('tokens.kept')}
          </Button>
        </div>
      </div>
    )
  const may = actions.filter((a) => profile.actions.includes(a))
  return (
    <Form<Fields>
      layout="vertical"
      initialValues={{ name: '', days: 90, actions: [] }}
      onFinish={(f) => make.mutate({ body: { name: f.name, days: f.days, ...(f.actions.length > 0 ? { actions: f.actions } : {}) } })}
    >
      <Form.Item name="name" label={t('tokens.name')} extra={t('tokens.nameHint')} rules={[{ required: true, whitespace: true, message: t('required') }]}>
        <Input maxLength={100} autoFocus />
      </Form.Item>
      <Form.Item name="days" label={t('tokens.days')} rules={[{ required: true, message: t('required') }]}>
        <InputNumber min={1} max={365} precision={0} />
      </Form.Item>
      <Form.Item name="actions" label={t('tokens.only')} extra={t('tokens.onlyHint')}>
        <Checkbox.Group className={css.stack} options={may.map((a) => ({ value: a, label: name(a) }))} />
      </Form.Item>
      {make.error && <Problem error={make.error} />}
      <Button type="primary" htmlType="submit" loading={make.isPending}>
        {t('tokens.make')}
      </Button>
    </Form>
  )
}
