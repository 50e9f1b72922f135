import { Button, Input, Radio, Select } from 'antd'
import { useState, type FormEvent } from 'react'
import { useTranslation } from 'react-i18next'

import css from './compliance.module.css'
import { api } from '../../api/client'
import { Problem } from '../../parts/Problem'

type Props = { framework: string; clause: string; targets: { id: string; name: string }[]; onDone: () => void; onCancel: () => void }

const verdicts = ['pass', 'fail', 'not-applicable'] as const
const day = (years: number) => {
  const at = new Date()
  at.setUTCFullYear(at.getUTCFullYear() + years)
  return at.toISOString().slice(0, 10)
}

// AttestForm takes in what a person found out by hand.
export function AttestForm({ framework, clause, targets, onDone, onCancel }: Props) {
  const { t } = useTranslation('compliance')
  const [targetId, setTarget] = useState(targets[0]?.id ?? '')
  const [verdict, setVerdict] = useState<(typeof verdicts)[number] | null>(null)
  const [note, setNote] = useState('')
  const [evidence, setEvidence] = useState('')
  const [until, setUntil] = useState(day(1))
  const add = api.useMutation('post', '/api/v1/compliance/{framework}/clauses/{clause}/attestations', { onSuccess: onDone })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    if (!verdict || !note.trim()) return
    add.mutate({ params: { path: { framework, clause } }, body: { targetId, verdict, note: note.trim(), ...(evidence.trim() ? { evidence: evidence.trim() } : {}), expiresAt: `${until}T23:59:59Z` } })
  }
  return (
    <form className={css.form} onSubmit={submit} aria-label={t('attest')}>
      {targets.length > 1 && (
        <label>
          <span>{t('cluster')}</span>
          <Select value={targetId} onChange={setTarget} options={targets.map((x) => ({ value: x.id, label: x.name }))} aria-label={t('cluster')} style={{ width: '100%' }} />
        </label>
      )}
      <fieldset>
        <legend>{t('whatFound')}</legend>
        <Radio.Group value={verdict} onChange={(e) => setVerdict(e.target.value as (typeof verdicts)[number])} options={verdicts.map((v) => ({ value: v, label: t(`outcome.${v}`) }))} />
      </fieldset>
      <label>
        <span>{t('note')}</span>
        <Input.TextArea value={note} onChange={(e) => setNote(e.target.value)} maxLength={4000} autoSize={{ minRows: 3, maxRows: 10 }} required placeholder={t('notePlaceholder')} />
      </label>
      <label>
        <span>{t('proof')}</span>
        <Input value={evidence} onChange={(e) => setEvidence(e.target.value)} maxLength={4000} placeholder={t('proofPlaceholder')} />
      </label>
      <label>
        <span>{t('until')}</span>
        <Input type="date" value={until} min={day(0)} max={day(2)} required onChange={(e) => setUntil(e.target.value)} style={{ maxWidth: 200 }} />
      </label>
      {add.error && <Problem error={add.error} />}
      <div className={css.tags}>
        <Button type="primary" htmlType="submit" loading={add.isPending} disabled={!verdict || !note.trim()}>
          {t('record')}
        </Button>
        <Button onClick={onCancel}>{t('cancel')}</Button>
      </div>
    </form>
  )
}
