import { Button, Form, Input, Modal, Radio } from 'antd'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { AddDirect } from './AddDirect'
import css from './assets.module.css'
import { ConnectorInstall } from './ConnectorInstall'
import { inPage } from './inPage'
import { useDemo } from './useDemo'
import { ways, type Way } from './ways'
import { api, queries } from '../../api/client'
import { Problem } from '../../parts/Problem'

function AddConnector() {
  const { t } = useTranslation('assets')
  const [id, setId] = useState('')
  const add = api.useMutation('post', '/api/v1/clusters', {
    onSuccess: (c) => {
      setId(c.id)
      void queries.invalidateQueries()
    },
  })
  if (id) return <ConnectorInstall id={id} />
  return (
    <Form layout="vertical" requiredMark={false} onFinish={(v: { name: string }) => add.mutate({ body: { name: v.name.trim(), kind: 'connector' } })}>
      <p>{t('connectorHint')}</p>
      <Form.Item label={t('name')} name="name" rules={[{ required: true, whitespace: true, message: t('nameNeeded') }]} extra={t('nameHint')}>
        <Input maxLength={100} autoComplete="off" />
      </Form.Item>
      {add.error ? <Problem error={add.error} title={t('addFailed')} /> : null}
      <div className={css.buttons}>
        <Button type="primary" htmlType="submit" loading={add.isPending}>
          {t('next')}
        </Button>
      </div>
    </Form>
  )
}

function AddDemo() {
  const { t } = useTranslation('assets')
  const demo = useDemo()
  return (
    <div className={css.stack}>
      <p>{t('demoHint')}</p>
      {demo.error ? <Problem error={demo.error} /> : null}
      <div className={css.buttons}>
        <Button type="primary" loading={demo.busy} onClick={demo.add}>
          {t('addDemo')}
        </Button>
      </div>
    </div>
  )
}

// AddCluster is the dialog that adds a cluster; which way stands in the URL.
export default function AddCluster({ way, choose, onClose }: { way: Way; choose: (way: Way) => void; onClose: () => void }) {
  const { t } = useTranslation('assets')
  const navigate = useNavigate()
  return (
    <Modal getContainer={inPage} open title={t('addCluster')} onCancel={onClose} footer={null} width="min(860px, calc(100vw - 24px))" mask={{ closable: false }}>
      <div className={css.stack}>
        <Radio.Group value={way} onChange={(e) => choose(e.target.value as Way)} aria-label={t('way')} optionType="button" buttonStyle="solid" className={css.ways}>
          {ways.map((w) => (
            <Radio.Button key={w} value={w}>
              {t(`ways.${w}`)}
            </Radio.Button>
          ))}
        </Radio.Group>
        {way === 'connector' ? (
          <AddConnector />
        ) : way === 'demo' ? (
          <AddDemo />
        ) : (
          <AddDirect key={way} kind={way} onAdded={(id) => void navigate({ to: '/clusters/$id', params: { id } })} />
        )}
      </div>
    </Modal>
  )
}
