import { useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { App, Button, Modal } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { bodyOf, draftOf } from './draft'
import type { Kept } from './shapes'
import { api, call } from '../../api/client'
import { useMay } from '../../app/session'
import { DownloadButton } from '../../parts/Download'
import { Problem } from '../../parts/Problem'

// PolicyMenu is what else can be done with a policy.
export function PolicyMenu({ policy: p }: { policy: Kept }) {
  const { t } = useTranslation('policies')
  const may = useMay('manage-policies')
  const navigate = useNavigate()
  const client = useQueryClient()
  const { notification } = App.useApp()
  const [ask, setAsk] = useState(false)
  const again = () => client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/policies') })
  const remove = api.useMutation('delete', '/api/v1/policies/{id}', {
    onSuccess: () => {
      notification.success({ title: t('deleted', { name: p.name }), role: 'status' })
      void navigate({ to: '/protection/policies' }).then(again)
    },
  })
  const put = api.useMutation('put', '/api/v1/policies/{id}', { onSuccess: () => void again() })
  return (
    <>
      <DownloadButton label={t('export')} name="policy.yaml" get={(signal) => call.GET('/api/v1/policies/file', { params: { query: { policy: [Number(p.id)] } }, parseAs: 'stream', signal })} />
      {may && (
        <>
          <Link to="/protection/policies/new" search={{ from: p.id! }}>
            {t('copy')}
          </Link>
          <Button loading={put.isPending} onClick={() => put.mutate({ params: { path: { id: Number(p.id) } }, body: { ...bodyOf(draftOf(p)), disabled: !p.disabled } })}>
            {p.disabled ? t('switchOn') : t('switchOff')}
          </Button>
          <Button danger onClick={() => setAsk(true)}>
            {t('delete')}
          </Button>
        </>
      )}
      {put.error ? <Problem error={put.error} /> : null}
      <Modal open={ask} title={t('deleteTitle', { name: p.name })} onCancel={() => setAsk(false)} okText={t('delete')} okButtonProps={{ danger: true }} confirmLoading={remove.isPending} onOk={() => remove.mutate({ params: { path: { id: Number(p.id) }, query: { version: p.version } } })}>
        <p>{t('deleteHint')}</p>
        {remove.error ? <Problem error={remove.error} /> : null}
      </Modal>
    </>
  )
}
