import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Alert, App, Button, Modal } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Details } from './shapes'
import { api } from '../../api/client'
import { useSaid } from '../../app/said/said'
import { useMayOn } from '../../app/session'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { missing, useFormat } from '../../text/format'
import { inPage } from '../assets/inPage'

// NodeNotice says what stands between a node and its protection, and what to do about it.
export function NodeNotice({ node: n }: { node: Details }) {
  const { t } = useTranslation('nodes')
  const { duration, dateTime } = useFormat()
  const said = useSaid()
  const may = useMayOn('manage-clusters', n.targetId)
  const skew = n.clockSkewMs ?? 0
  return (
    <>
      {n.claim && <ClaimNotice node={n} />}
      {n.state !== 'protected' && (
        <Alert
          type={n.state === 'away' ? 'error' : n.state === 'never' || n.state === 'unsupported' ? 'info' : 'warning'}
          showIcon
          title={t(`stateHint.${n.state}`)}
          description={
            <>
              {n.reason && <div>{said(n.reason)}</div>}
              {n.state === 'paused' && !missing(n.factsAt) && (
                <div>
                  {t('readSince')}: <When at={n.factsAt} />
                </div>
              )}
              <div>{t(`todo.${n.state}`)}</div>
              {n.state === 'never' && may && (
                <Link to="/assets/nodes" search={{ enrol: n.targetId }}>
                  {t('enrol')}
                </Link>
              )}
              {n.state === 'degraded' && <Link to="/nodes/$id" params={{ id: n.id }} search={{ tab: 'unread' }}>{t('toUnread')}</Link>}
            </>
          }
        />
      )}
      {n.stale && <Alert type="warning" showIcon title={t('stale', { time: dateTime(n.factsAt!) })} description={t('staleHint')} />}
      {skew !== 0 && <Alert type="warning" showIcon title={t(skew > 0 ? 'clockAhead' : 'clockBehind', { time: duration(Math.abs(skew)) })} description={t('clockTodo')} />}
      {!n.inCluster && n.state !== 'never' && <Alert type="info" showIcon title={t('notInCluster')} description={t('notInClusterHint')} />}
    </>
  )
}

// ClaimNotice is that another machine wanted to be this node; who manages the cluster may let it.
function ClaimNotice({ node: n }: { node: Details }) {
  const { t } = useTranslation('nodes')
  const client = useQueryClient()
  const { notification } = App.useApp()
  const [open, setOpen] = useState(false)
  const may = useMayOn('manage-clusters', n.targetId)
  const confirm = api.useMutation('post', '/api/v1/nodes/{id}/confirm', {
    onSuccess: () => {
      setOpen(false)
      notification.success({ title: t('claim.done'), role: 'status' })
      void client.invalidateQueries()
    },
  })
  const c = n.claim!
  return (
    <>
      <Alert
        type={c.confirmed ? 'info' : 'error'}
        showIcon
        title={c.confirmed ? t('claim.confirmed') : t('claim.title')}
        description={
          <>
            <div>
              <When at={c.at} /> · {t('claim.from')} {c.from || '–'} · {t('machine')} <code>{c.machineId || '–'}</code>
            </div>
            <div>{c.reason}</div>
            {!c.confirmed && <div>{c.machineId ? t('claim.hint') : t('claim.noMachine')}</div>}
          </>
        }
        action={
          may && !c.confirmed && c.machineId ? (
            <Button danger onClick={() => setOpen(true)}>
              {t('claim.confirm')}
            </Button>
          ) : undefined
        }
      />
      <Modal
        open={open}
        getContainer={inPage}
        title={t('claim.ask', { name: n.name })}
        okText={t('claim.confirm')}
        cancelText={t('cancel')}
        okButtonProps={{ danger: true }}
        confirmLoading={confirm.isPending}
        onCancel={() => setOpen(false)}
        onOk={() => confirm.mutate({ params: { path: { id: Number(n.id) } } })}
      >
        <p>{t('claim.askHint')}</p>
        {confirm.error ? <Problem error={confirm.error} /> : null}
      </Modal>
    </>
  )
}
