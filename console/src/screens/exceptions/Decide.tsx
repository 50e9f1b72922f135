import { Alert, Button, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './Exceptions.module.css'
import { api, call, type Schemas } from '../../api/client'
import { useMayOn, useProfile } from '../../app/session'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useChanged } from '../risks/useHandle'

type Step = 'approve' | 'deny' | 'cancel'

// Decide approves, denies or ends an exception, by the revision that is on the screen. Nobody approves what he asked for, unless the
// settings let administrators.
export function Decide({ exception: e }: { exception: Schemas['Record'] }) {
  const { t } = useTranslation('exceptions')
  const profile = useProfile()
  const changed = useChanged()
  const namespace = e.scope.namespace && !/[*?[]/.test(e.scope.namespace) ? e.scope.namespace : ''
  const target = e.targetId ?? '0'
  const mayApprove = useMayOn('approve', target, namespace)
  const mayAsk = useMayOn('except', target, namespace)
  const [note, setNote] = useState('')
  const [working, setWorking] = useState<Step>()
  const [error, setError] = useState<unknown>(null)
  const settings = api.useQuery('get', '/api/v1/exceptions/settings', undefined, { staleTime: 60_000 })
  const mine = !!profile.user && profile.user.id === e.requesterId
  const self = mine && !(settings.data?.selfApproval && profile.grants.some((g) => g.role === 'administrator'))
  const pending = e.status === 'pending'
  const mayCancel = mine ? mayAsk : mayApprove
  const decide = async (step: Step) => {
    setWorking(step)
    setError(null)
    try {
      await call.POST(`/api/v1/exceptions/{id}/${step}`, { params: { path: { id: Number(e.id) } }, body: { revision: e.revision, note: note.trim() || undefined } })
    } catch (cause) {
      setError(cause)
    }
    await changed()
    setWorking(undefined)
  }
  if (!mayApprove && !mayCancel) return null
  return (
    <Panel title={t('decision')}>
      <div className={css.form}>
        {pending && mayApprove && self && <Alert type="info" showIcon title={t('notYourself')} />}
        <label>
          {t('noteField')}
          <Input.TextArea value={note} onChange={(x) => setNote(x.target.value)} maxLength={4000} autoSize={{ minRows: 2, maxRows: 6 }} />
        </label>
        <div className={css.inline}>
          {pending && mayApprove && !self && (
            <Button type="primary" loading={working === 'approve'} disabled={!settings.data} onClick={() => void decide('approve')}>
              {t('approve')}
            </Button>
          )}
          {pending && mayApprove && !mine && (
            <Button danger loading={working === 'deny'} onClick={() => void decide('deny')}>
              {t('deny')}
            </Button>
          )}
          {mayCancel && (mine || !pending) && (
            <Button danger={!pending} loading={working === 'cancel'} onClick={() => void decide('cancel')}>
              {pending ? t('takeBack') : t('end')}
            </Button>
          )}
        </div>
        {!pending && <p className={css.hint}>{t('endHint')}</p>}
        {error ? <Problem error={error} /> : null}
      </div>
    </Panel>
  )
}
