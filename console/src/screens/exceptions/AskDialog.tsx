import { App, Button, Input, Modal, Radio, Select } from 'antd'
import { useNavigate } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { bound, choicesFor, type Draft } from './choices'
import { EffectView } from './EffectView'
import css from './Exceptions.module.css'
import { ExpiryField } from './ExpiryField'
import { fault, lastDay, type Expiry } from './expiry'
import { ScopeFields } from './ScopeFields'
import { call, api, type Schemas } from '../../api/client'
import { Problem } from '../../parts/Problem'
import { useSettled } from '../../parts/useSettled'
import { useChanged } from '../risks/useHandle'

export const categories = ['risk-accepted', 'false-positive', 'mitigated', 'not-relevant', 'other'] as const
type Category = (typeof categories)[number]

type Props = { finding?: Schemas['FindingFull']; scope?: Draft; close: () => void }

// AskDialog asks for an exception: what it covers with its effect, until when, and why.
export function AskDialog({ finding, scope, close }: Props) {
  const { t } = useTranslation('exceptions')
  const navigate = useNavigate()
  const { notification } = App.useApp()
  const changed = useChanged()
  const choices = useMemo(() => (finding ? choicesFor(finding) : []), [finding])
  const [choice, setChoice] = useState(finding ? 'finding' : 'own')
  const [own, setOwn] = useState<Draft>(scope ?? { scope: {} })
  const [expiry, setExpiry] = useState<Expiry>({ how: 'days', days: 90 })
  const [untilFix, setUntilFix] = useState(false)
  const [category, setCategory] = useState<Category>('risk-accepted')
  const [reason, setReason] = useState('')
  const [working, setWorking] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const settings = api.useQuery('get', '/api/v1/exceptions/settings', undefined, { staleTime: 60_000 })
  const draft: Draft = choice === 'own' ? own : (choices.find((c) => c.name === choice)?.draft ?? own)
  const asked = useSettled({ targetId: draft.targetId, findingId: draft.findingId, scope: draft.scope, untilFix })
  const ready = !!draft.findingId || bound(draft.scope)
  const wrong = settings.data && fault(expiry, settings.data)
  const submit = async () => {
    setWorking(true)
    setError(null)
    try {
      const { data } = await call.POST('/api/v1/exceptions', { body: { ...asked, reason: reason.trim(), category, expires: lastDay(expiry) } })
      await changed()
      if (data) {
        notification.success({
          title: t('asked'),
          description: t('askedHint'),
          actions: (
            <Button size="small" onClick={() => void navigate({ to: '/exceptions/$id', params: { id: data.id } })}>
              {t('open')}
            </Button>
          ),
          role: 'status',
        })
      }
      close()
    } catch (e) {
      setError(e)
    } finally {
      setWorking(false)
    }
  }
  return (
    <Modal
      open
      onCancel={close}
      width={640}
      title={t('ask')}
      footer={[
        <Button key="cancel" onClick={close}>
          {t('cancel')}
        </Button>,
        <Button key="ok" type="primary" loading={working} disabled={!ready || !reason.trim() || !!wrong || !settings.data} onClick={() => void submit()}>
          {t('submit')}
        </Button>,
      ]}
    >
      <div className={css.form}>
        <fieldset>
          <legend>{t('scope')}</legend>
          {finding && (
            <Radio.Group value={choice} onChange={(e) => setChoice(e.target.value as string)} className={css.choices}>
              {choices.map((c) => (
                <Radio key={c.name} value={c.name}>
                  {t(`choice.${c.name}`, { ...c.draft.scope, rule: finding.rule, cluster: finding.target })}
                </Radio>
              ))}
              <Radio value="own">{t('choice.own')}</Radio>
            </Radio.Group>
          )}
          {choice === 'own' && <ScopeFields draft={own} change={setOwn} />}
        </fieldset>
        {ready ? <EffectView draft={asked} /> : <p className={css.hint}>{t('nameIt')}</p>}
        <ExpiryField value={expiry} change={setExpiry} untilFix={untilFix} setUntilFix={setUntilFix} settings={settings.data} fault={wrong} />
        <label>
          {t('category')}
          <Select<Category> value={category} onChange={setCategory} options={categories.map((c) => ({ value: c, label: t(`categories.${c}`) }))} aria-label={t('category')} style={{ width: '100%' }} />
        </label>
        <label>
          {t('reason')}
          <Input.TextArea value={reason} onChange={(e) => setReason(e.target.value)} maxLength={4000} autoSize={{ minRows: 3, maxRows: 8 }} aria-required />
        </label>
        {error ? <Problem error={error} /> : null}
      </div>
    </Modal>
  )
}
