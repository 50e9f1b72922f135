import { useQueryClient } from '@tanstack/react-query'
import { Button, Popconfirm } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { AttestForm } from './AttestForm'
import css from './compliance.module.css'
import type { Story } from './model'
import { AttestedTag } from './OutcomeTag'
import { api } from '../../api/client'
import { rolesThat, useProfile } from '../../app/session'
import { Problem } from '../../parts/Problem'
import { missing, useFormat } from '../../text/format'

// useChanged reads again what attestations change.
function useChanged() {
  const client = useQueryClient()
  return () => void client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/compliance') })
}

// useAttestable lists the clusters in which the user may attest this clause: whole ones, where rules left it open.
function useAttestable(story: Story) {
  const profile = useProfile()
  return story.verdicts.filter(
    (v) => v.status === 'manual' && profile.actions.includes('handle') && profile.grants.some((g) => rolesThat('handle').includes(g.role) && (!g.targetId || g.targetId === '0' || (g.targetId === v.targetId && !g.namespace))),
  )
}

// Attestations shows what people found out by hand, and takes in what somebody finds out now.
export function Attestations({ story }: { story: Story }) {
  const { t } = useTranslation('compliance')
  const [asking, ask] = useState(false)
  const changed = useChanged()
  const open = useAttestable(story)
  const names = new Map(story.verdicts.map((v) => [v.targetId, v.target]))
  if (story.attestations.length === 0 && open.length === 0) return null
  return (
    <section>
      <h2>{t('attestations')}</h2>
      <p className={css.soft}>{t('attestationsHint')}</p>
      {open.length > 0 && !asking && (
        <p>
          <Button onClick={() => ask(true)}>{t('attest')}</Button>
        </p>
      )}
      {asking && (
        <AttestForm
          framework={story.framework}
          clause={story.clause}
          targets={open.map((v) => ({ id: v.targetId, name: v.target }))}
          onDone={() => {
            ask(false)
            changed()
          }}
          onCancel={() => ask(false)}
        />
      )}
      <ul className={css.evidence}>
        {story.attestations.map((a) => (
          <Attestation key={a.id} item={a} cluster={names.get(a.targetId) ?? ''} may={open.some((v) => v.targetId === a.targetId)} onChange={changed} />
        ))}
      </ul>
    </section>
  )
}

function Attestation({ item: a, cluster, may, onChange }: { item: Story['attestations'][number]; cluster: string; may: boolean; onChange: () => void }) {
  const { t } = useTranslation('compliance')
  const { date, dateTime } = useFormat()
  const withdraw = api.useMutation('delete', '/api/v1/attestations/{id}', { onSuccess: onChange })
  const ended = !missing(a.endedAt)
  const [now] = useState(() => Date.now())
  const expired = new Date(a.expiresAt).getTime() < now
  return (
    <li>
      <div className={css.evidenceHead}>
        <AttestedTag verdict={a.verdict} />
        <span>{cluster}</span>
        {ended && <span className={css.soft}>{t('ended', { at: date(a.endedAt!) })}</span>}
        {!ended && expired && <span className={css.soft}>{t('expired', { at: date(a.expiresAt) })}</span>}
      </div>
      <dl className={css.values}>
        <dt>{t('by')}</dt>
        <dd>{t('byAt', { name: a.by, at: dateTime(a.at) })}</dd>
        <dt>{t('note')}</dt>
        <dd>{a.note}</dd>
        {a.evidence && (
          <>
            <dt>{t('proof')}</dt>
            <dd>{a.evidence}</dd>
          </>
        )}
        {!ended && !expired && (
          <>
            <dt>{t('until')}</dt>
            <dd>{date(a.expiresAt)}</dd>
          </>
        )}
      </dl>
      {withdraw.error && <Problem error={withdraw.error} />}
      {may && !ended && (
        <Popconfirm title={t('withdrawAsk')} okText={t('withdraw')} cancelText={t('cancel')} onConfirm={() => withdraw.mutate({ params: { path: { id: Number(a.id) } } })}>
          <Button size="small" loading={withdraw.isPending}>
            {t('withdraw')}
          </Button>
        </Popconfirm>
      )}
    </li>
  )
}
