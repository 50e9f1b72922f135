import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { Button, Modal } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Details } from './shapes'
import { api } from '../../api/client'
import { useMayOn } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'
import { inPage } from '../assets/inPage'

// NodeMenu is what an administrator may do to a node with an agent: forget it.
export function NodeMenu({ node: n }: { node: Details }) {
  const { t } = useTranslation('nodes')
  const client = useQueryClient()
  const navigate = useNavigate()
  const may = useMayOn('manage-clusters', n.targetId)
  const [open, setOpen] = useState(false)
  const forget = api.useMutation('delete', '/api/v1/nodes/{id}', {
    onSuccess: async () => {
      await navigate({ to: '/assets/nodes' }) // the node gets another id when the cluster still has it
      void client.invalidateQueries()
    },
  })
  if (!may || n.state === 'never' || n.state === 'unsupported') return null
  return (
    <>
      <Button danger onClick={() => setOpen(true)}>
        {t('forget')}
      </Button>
      <Modal
        open={open}
        getContainer={inPage}
        title={t('forgetTitle', { name: n.name })}
        okText={t('forget')}
        cancelText={t('cancel')}
        okButtonProps={{ danger: true }}
        confirmLoading={forget.isPending}
        onCancel={() => setOpen(false)}
        onOk={() => forget.mutate({ params: { path: { id: Number(n.id) } } })}
      >
        <div className={blocks.stack}>
          <p>{t('forgetHint')}</p>
          <p>{t(n.inCluster ? 'forgetStays' : 'forgetGoes')}</p>
          {forget.error ? <Problem error={forget.error} /> : null}
        </div>
      </Modal>
    </>
  )
}
