import { useQueryClient } from '@tanstack/react-query'
import { Alert, Button, Checkbox, Modal, Radio, Skeleton } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { Progress } from './Progress'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'

type Props = { target: string; name: string; close: () => void }

// DisableDialog ends the protection of a cluster, says what that does, and follows it to its end.
export default function DisableDialog({ target, name, close }: Props) {
  const { t } = useTranslation('protection')
  const client = useQueryClient()
  useLive(['protection'], ['/api/v1/protection/{target}'])
  const path = { target: Number(target) }
  const status = api.useQuery('get', '/api/v1/protection/{target}', { params: { path } }, { refetchInterval: (q) => (q.state.data?.state === 'removing' ? 3000 : false) })
  const [keepPlugins, setKeep] = useState(false)
  const [foreignToo, setForeign] = useState(false)
  const [giveUp, setGiveUp] = useState(false)
  const [asked, setAsked] = useState(false)
  const stop = api.useMutation('post', '/api/v1/protection/{target}/disable', {
    onSuccess: () => {
      setAsked(true)
      void client.invalidateQueries({ predicate: (q) => q.queryKey[0] === 'get' && String(q.queryKey[1]).startsWith('/api/v1/protection') })
    },
  })
  const s = status.data
  const g = s?.gatekeeperDetails
  const going = s && (s.state === 'removing' || (asked && (s.state === 'remove-failed' || s.state === 'unprotected')))
  return (
    <Modal
      open
      title={t('disableTitle', { name: s?.name ?? name })}
      onCancel={close}
      width={720}
      footer={
        going
          ? [
              <Button key="close" type="primary" onClick={close}>
                {s.state === 'unprotected' ? t('close') : t('goOnAlone')}
              </Button>,
            ]
          : [
              <Button key="cancel" onClick={close}>
                {t('cancel')}
              </Button>,
              <Button key="ok" type="primary" danger loading={stop.isPending} disabled={!s || s.state === 'unprotected'} onClick={() => stop.mutate({ params: { path }, body: { keepPlugins, foreignToo, giveUp } })}>
                {t('disable')}
              </Button>,
            ]
      }
    >
      {status.error ? (
        <Problem error={status.error} retry={() => void status.refetch()} />
      ) : !s ? (
        <Skeleton active />
      ) : going ? (
        s.state === 'unprotected' ? <Alert type="success" showIcon role="status" title={t('disabled')} /> : <Progress status={s} />
      ) : (
        <div className={blocks.stack}>
          <Alert type="warning" showIcon title={t('disableWarning', { count: s.policies })} description={t('disableHint')} />
          {g && !g.ours ? (
            <p>{t('adoptedStays')}</p>
          ) : (
            <Radio.Group value={keepPlugins} onChange={(e) => setKeep(e.target.value as boolean)} className={blocks.stack} aria-label={t('plugins')}>
              <Radio value={false}>{t('removePlugins')}</Radio>
              <Radio value={true}>{t('keepPlugins')}</Radio>
            </Radio.Group>
          )}
          {!keepPlugins && g?.ours && g.foreignTemplates > 0 && (
            <Checkbox checked={foreignToo} onChange={(e) => setForeign(e.target.checked)}>
              {t('foreignToo', { count: g.foreignTemplates })}
            </Checkbox>
          )}
          {s.unreachableSince && (
            <Checkbox checked={giveUp} onChange={(e) => setGiveUp(e.target.checked)}>
              {t('giveUp')}
            </Checkbox>
          )}
          {stop.error ? <Problem error={stop.error} /> : null}
        </div>
      )}
    </Modal>
  )
}
