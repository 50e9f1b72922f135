import { Form, Input, Modal } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { CheckResult } from './CheckResult'
import { inPage } from './inPage'
import { KubeconfigField } from './KubeconfigField'
import { api, queries } from '../../api/client'
import { Problem } from '../../parts/Problem'

type Props = { id: string; name: string; onClose: () => void }

const again = () => queries.invalidateQueries()

// Rename gives a cluster another name.
export function Rename({ id, name, onClose }: Props) {
  const { t } = useTranslation('assets')
  const [form] = Form.useForm<{ name: string }>()
  const change = api.useMutation('patch', '/api/v1/clusters/{id}', { onSuccess: () => void again().then(onClose) })
  return (
    <Modal getContainer={inPage} open title={t('renameTitle', { name })} onCancel={onClose} okText={t('rename')} onOk={form.submit} confirmLoading={change.isPending}>
      <Form form={form} layout="vertical" requiredMark={false} initialValues={{ name }} onFinish={(v) => change.mutate({ params: { path: { id: Number(id) } }, body: { name: v.name.trim() } })}>
        <Form.Item label={t('name')} name="name" rules={[{ required: true, whitespace: true, message: t('nameNeeded') }]}>
          <Input maxLength={100} autoComplete="off" />
        </Form.Item>
        {change.error ? <Problem error={change.error} /> : null}
      </Form>
    </Modal>
  )
}

// Credentials gives a cluster another kubeconfig, which is checked first.
export function Credentials({ id, name, onClose }: Props) {
  const { t } = useTranslation('assets')
  const [form] = Form.useForm<{ kubeconfig: string; context?: string }>()
  const change = api.useMutation('patch', '/api/v1/clusters/{id}', { onSuccess: () => void again() })
  return (
    <Modal
      open
      getContainer={inPage}
      title={t('credentialsTitle', { name })}
      onCancel={onClose}
      okText={change.data ? t('close') : t('changeCredentials')}
      onOk={change.data ? onClose : form.submit}
      confirmLoading={change.isPending}
      width="min(760px, calc(100vw - 24px))"
    >
      {change.data ? (
        <div className={css.stack}>
          <p role="status">{t('credentialsChanged')}</p>
          {change.data.check && <CheckResult check={change.data.check} />}
        </div>
      ) : (
        <Form form={form} layout="vertical" requiredMark={false} onFinish={(v) => change.mutate({ params: { path: { id: Number(id) } }, body: { kubeconfig: v.kubeconfig, context: v.context || undefined } })}>
          <Form.Item label={t('kubeconfig')} name="kubeconfig" rules={[{ required: true, whitespace: true, message: t('kubeconfigNeeded') }]} extra={t('kubeconfigHint')}>
            <KubeconfigField />
          </Form.Item>
          <Form.Item label={t('context')} name="context" extra={t('contextHint')}>
            <Input maxLength={253} autoComplete="off" />
          </Form.Item>
          {change.error ? <Problem error={change.error} /> : null}
        </Form>
      )}
    </Modal>
  )
}

// Remove takes a cluster off the lists; its name must be typed, since its credentials cannot be had back.
export function Remove({ id, name, onClose, onDone }: Props & { onDone: () => void }) {
  const { t } = useTranslation('assets')
  const [typed, setTyped] = useState('')
  const remove = api.useMutation('delete', '/api/v1/clusters/{id}', {
    onSuccess: () => {
      onDone()
      void again()
    },
  })
  return (
    <Modal
      open
      getContainer={inPage}
      title={t('removeTitle', { name })}
      onCancel={onClose}
      okText={t('remove')}
      okButtonProps={{ danger: true, disabled: typed.trim() !== name }}
      onOk={() => remove.mutate({ params: { path: { id: Number(id) } } })}
      confirmLoading={remove.isPending}
    >
      <div className={css.stack}>
        <p>{t('removeHint')}</p>
        <label htmlFor="remove-name">{t('typeName', { name })}</label>
        <Input id="remove-name" value={typed} onChange={(e) => setTyped(e.target.value)} autoComplete="off" />
        {remove.error ? <Problem error={remove.error} /> : null}
      </div>
    </Modal>
  )
}
