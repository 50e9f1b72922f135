import { Alert, Button, Form, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { CheckResult } from './CheckResult'
import { KubeconfigField } from './KubeconfigField'
import { useScanNow } from './useScanNow'
import { api } from '../../api/client'
import { Problem } from '../../parts/Problem'

type Values = { name: string; kubeconfig?: string; context?: string }

// AddDirect adds a cluster that the server reaches itself: by a kubeconfig, or the one that it runs in. It is checked before it is added.
export function AddDirect({ kind, onAdded }: { kind: 'kubeconfig' | 'in-cluster'; onAdded: (id: string) => void }) {
  const { t } = useTranslation('assets')
  const [form] = Form.useForm<Values>()
  const [checked, setChecked] = useState('')
  const check = api.useMutation('post', '/api/v1/clusters/check')
  const scan = useScanNow()
  const add = api.useMutation('post', '/api/v1/clusters', { onSuccess: (c) => (scan.may ? scan.start(c.id, t('firstScan', { name: c.name })) : onAdded(c.id)) })
  const body = (v: Values) => ({ kind, ...(kind === 'kubeconfig' ? { kubeconfig: v.kubeconfig, context: v.context || undefined } : {}) })
  const key = (v: Partial<Values>) => JSON.stringify([v.kubeconfig, v.context])
  const tryIt = async () => {
    const v = await form.validateFields(['kubeconfig', 'context']).catch(() => null) // the fields say what is wrong
    if (!v) return
    add.reset()
    setChecked('')
    check.mutate({ body: body(v as Values) }, { onSuccess: () => setChecked(key(form.getFieldsValue())) })
  }
  const current = Form.useWatch([], form) as Values | undefined
  const fresh = check.data && checked === key(current ?? {}) ? check.data : undefined
  const addIt = async (unchecked: boolean) => {
    const v = await form.validateFields().catch(() => null)
    if (!v) return
    add.mutate({ body: { ...body(v), name: v.name.trim(), unchecked: unchecked || undefined } })
  }
  return (
    <Form form={form} layout="vertical" requiredMark={false} onFinish={() => void (fresh ? addIt(Boolean(fresh.problem)) : tryIt())}>
      <Form.Item label={t('name')} name="name" rules={[{ required: true, whitespace: true, message: t('nameNeeded') }]} extra={t('nameHint')}>
        <Input maxLength={100} autoComplete="off" />
      </Form.Item>
      {kind === 'kubeconfig' ? (
        <>
          <Form.Item label={t('kubeconfig')} name="kubeconfig" rules={[{ required: true, whitespace: true, message: t('kubeconfigNeeded') }]} extra={t('kubeconfigHint')}>
            <KubeconfigField />
          </Form.Item>
          <Form.Item label={t('context')} name="context" extra={t('contextHint')}>
            <Input maxLength={253} autoComplete="off" />
          </Form.Item>
        </>
      ) : (
        <Form.Item>
          <Alert type="info" showIcon title={t('inClusterHint')} />
        </Form.Item>
      )}
      {check.error ? <Problem error={check.error} title={t('checkFailed')} /> : null}
      {add.error ? <Problem error={add.error} title={t('addFailed')} /> : null}
      {scan.error ? <Problem error={scan.error} /> : null}
      {fresh && <CheckResult check={fresh} />}
      <div className={css.buttons}>
        <Button type={fresh ? 'default' : 'primary'} loading={check.isPending} onClick={() => void tryIt()}>
          {t('check')}
        </Button>
        {fresh && !fresh.problem && (
          <Button type="primary" loading={add.isPending || scan.busy} onClick={() => void addIt(false)}>
            {scan.may ? t('addAndScan') : t('add')}
          </Button>
        )}
        {fresh?.problem && (
          <Button danger loading={add.isPending || scan.busy} onClick={() => void addIt(true)}>
            {t('addAnyway')}
          </Button>
        )}
      </div>
    </Form>
  )
}
