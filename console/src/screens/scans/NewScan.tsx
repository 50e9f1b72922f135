import { useNavigate } from '@tanstack/react-router'
import { Checkbox, Form, Input, Modal } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { BudgetFields } from './BudgetFields'
import { PartFields } from './PartFields'
import { PlanView } from './PlanView'
import { TargetFields, useEverywhere } from './TargetFields'
import { bodyOf, complete, consentOf, everything, type What } from './what'
import css from './scans.module.css'
import { api } from '../../api/client'
import { Problem } from '../../parts/Problem'

type Props = { targets: string[]; onClose: () => void }

// NewScan asks what to scan, shows what that would do, and starts it. What was typed stays when the server refuses.
export default function NewScan({ targets, onClose }: Props) {
  const { t } = useTranslation('scans')
  const navigate = useNavigate()
  const everywhere = useEverywhere('scan')
  const [what, setWhat] = useState<What>({ ...everything, all: everywhere && targets.length === 0, clusters: targets })
  const [name, setName] = useState('')
  const [agreed, setAgreed] = useState(false)
  const ready = complete(what)
  const plan = api.useQuery('post', '/api/v1/tasks/plan', { body: bodyOf(what) }, { enabled: ready, placeholderData: (old) => old, retry: false })
  const start = api.useMutation('post', '/api/v1/tasks', { onSuccess: (task) => void navigate({ to: '/tasks/$id', params: { id: task.id } }) })
  const creates = ready && plan.data ? consentOf(plan.data).creates.length : 0
  return (
    <Modal
      open
      title={t('newScan')}
      width={980}
      style={{ top: 24 }}
      styles={{ body: { maxHeight: 'calc(100vh - 190px)', overflow: 'auto' } }}
      onCancel={onClose}
      okText={t('start')}
      cancelText={t('cancelForm')}
      confirmLoading={start.isPending}
      okButtonProps={{ disabled: !ready || !plan.data || (creates > 0 && !agreed) }}
      onOk={() => start.mutate({ body: { ...bodyOf(what), name: name.trim() || undefined } })}
    >
      <div className={css.columns}>
        <div>
          <Form layout="vertical" component={false}>
            <Form.Item label={t('scanName')} htmlFor="scan-name" extra={t('scanNameWhy')}>
              <Input id="scan-name" value={name} maxLength={200} onChange={(e) => setName(e.target.value)} />
            </Form.Item>
            <Form.Item label={t('where')} htmlFor="scan-clusters">
              <TargetFields id="scan-clusters" what={what} onChange={setWhat} action="scan" nodes />
            </Form.Item>
            <Form.Item label={t('items')}>
              <PartFields value={what.parts} onChange={(parts) => setWhat({ ...what, parts })} />
            </Form.Item>
            <details>
              <summary>{t('bounds')}</summary>
              <BudgetFields value={what.budget} onChange={(budget) => setWhat({ ...what, budget })} />
            </details>
          </Form>
        </div>
        <section className={css.box} aria-label={t('plan')} aria-live="polite">
          <PlanView plan={ready ? plan.data : undefined} pending={ready && plan.isFetching} error={ready ? plan.error : null} retry={() => void plan.refetch()} />
          {creates > 0 && (
            <Checkbox checked={agreed} onChange={(e) => setAgreed(e.target.checked)}>
              {t('agree')}
            </Checkbox>
          )}
        </section>
      </div>
      {start.error ? <Problem error={start.error} /> : null}
    </Modal>
  )
}
