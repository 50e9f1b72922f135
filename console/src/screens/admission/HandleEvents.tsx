import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { App, Button, Input, Modal, Skeleton } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { EffectView } from './EffectView'
import type { bodyOf } from './filter'
import { api, call, type Schemas } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'
import { useFormat } from '../../text/format'

export type Action = Schemas['AdmissionHandling']['action']
export type Meant = { ids: string[] } | { filter: ReturnType<typeof bodyOf> }
export type Wanted = { action: Action; of: Meant }
type Body = Schemas['AdmissionHandling']

const mostBack = 2000 // the server names no more

type Props = { wanted: Wanted; close: () => void; done?: () => void }

// backs are the actions that can be taken back, and how.
const backs: Partial<Record<Action, Action>> = { ignore: 'reopen', handled: 'reopen' }

// HandleEvents shows what an action would do before it does it, takes the reason, and offers to take it back where that can be.
export function HandleEvents({ wanted: { action, of }, close, done }: Props) {
  const { t } = useTranslation('admission')
  const { number } = useFormat()
  const { notification } = App.useApp()
  const client = useQueryClient()
  const [note, setNote] = useState('')
  const [until, setUntil] = useState('')
  const [working, setWorking] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const dated = action === 'except' || action === 'allow-image'
  const reasoned = action === 'except' || action === 'ignore'
  const effect = api.useQuery('post', '/api/v1/admission-events/handle', { body: { action, ...(of as Partial<Body>), dryRun: true, ...(reasoned ? { note: '…' } : {}) } }, { gcTime: 0, staleTime: 0, retry: false })
  const changed = () => client.invalidateQueries({ predicate: (q) => q.queryKey[0] === 'get' && ['/api/v1/admission-events', '/api/v1/policies', '/api/v1/exceptions'].some((p) => String(q.queryKey[1]).startsWith(p)) })
  const send = async (body: Body) => {
    const { data } = await call.POST('/api/v1/admission-events/handle', { body })
    await changed()
    return data!
  }
  const submit = async () => {
    setWorking(true)
    setError(null)
    try {
      const did = await send({ action, ...(of as Partial<Body>), note: note.trim() || undefined, until: dated && until ? until : undefined })
      const key = `event-${Date.now()}`
      const back = backs[action]
      const fresh = did.fresh ?? [] // what nobody had handled before: the rest had another state, which is not known any more
      notification.success({
        key,
        role: 'status',
        title: t(`done.${action}`, { count: did.changed, number: number(did.changed) }),
        description: action === 'except' ? <Link to="/exceptions">{t('toExceptions')}</Link> : back && fresh.length === 0 && did.changed > mostBack ? t('tooManyBack', { number: number(mostBack) }) : undefined,
        duration: back ? 15 : 6,
        actions: back && fresh.length > 0 && (
          <Button
            size="small"
            onClick={() => {
              notification.destroy(key)
              void send({ action: back, note: t('undone'), ids: fresh }).catch((e: unknown) => notification.error({ title: t('undoFailed'), description: e instanceof Error ? e.message : '' }))
            }}
          >
            {fresh.length < did.changed ? t('undoSome', { number: number(fresh.length) }) : t('undo')}
          </Button>
        ),
      })
      done?.()
      close()
    } catch (e) {
      setError(e)
    } finally {
      setWorking(false)
    }
  }
  const none = (effect.data?.changed ?? 0) === 0
  return (
    <Modal
      open
      onCancel={close}
      title={t(`do.${action}`)}
      footer={[
        <Button key="cancel" onClick={close}>
          {t('cancel')}
        </Button>,
        <Button key="ok" type="primary" loading={working} disabled={!effect.data || none || (reasoned && !note.trim())} onClick={() => void submit()}>
          {t(`sure.${action}`)}
        </Button>,
      ]}
    >
      <div className={blocks.stack}>
        <p>{t(`doHint.${action}`)}</p>
        <div className={blocks.field}>
          <label htmlFor="event-note">{reasoned ? t('reason') : t('noteOptional')}</label>
          <Input.TextArea id="event-note" autoFocus value={note} onChange={(e) => setNote(e.target.value)} maxLength={4000} autoSize={{ minRows: 3, maxRows: 8 }} />
        </div>
        {dated && (
          <div className={blocks.field}>
            <label htmlFor="event-until">{t('until')}</label>
            <Input id="event-until" type="date" value={until} onChange={(e) => setUntil(e.target.value)} style={{ width: 180 }} />
          </div>
        )}
        <div aria-live="polite" style={{ minHeight: 66 }}>
          {effect.isPending ? <Skeleton active title={false} paragraph={{ rows: 2 }} /> : effect.error ? <Problem error={effect.error} /> : <EffectView effect={effect.data} />}
        </div>
        {error ? <Problem error={error} /> : null}
      </div>
    </Modal>
  )
}
