import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Alert, Button, Skeleton } from 'antd'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { bodyOf, faultsOf, type Draft } from './draft'
import { ImagesStep } from './ImagesStep'
import css from './policies.module.css'
import { hitsByRule } from './preview'
import { PreviewPane } from './PreviewPane'
import { ReviewStep } from './ReviewStep'
import { RolloutStep } from './RolloutStep'
import { RulesStep } from './RulesStep'
import { ScopeStep } from './ScopeStep'
import type { Kept } from './shapes'
import { useDraft } from './useDraft'
import { usePreview } from './usePreview'
import { WhatStep } from './WhatStep'
import { api } from '../../api/client'
import { useAppearance } from '../../app/appearance'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'

const steps = ['what', 'rules', 'images', 'scope', 'rollout', 'review'] as const
type Step = (typeof steps)[number]

type Props = { name: string; first: Draft; saved?: Kept; done: (id: string) => void }

// Wizard writes a policy in steps, each of which can be opened at any time; what it would find stands beside it all the while.
export function Wizard({ name, first, saved, done }: Props) {
  const { t } = useTranslation('policies')
  const { narrow } = useAppearance()
  const [url, setUrl] = useUrl()
  const { draft, change, forget, kept } = useDraft(name, first)
  const [start, setStart] = useState<string>()
  const [tried, setTried] = useState(false)
  const rules = api.useQuery('get', '/api/v1/policy-rules', undefined, { staleTime: 300_000 })
  const presets = api.useQuery('get', '/api/v1/policy-presets', undefined, { staleTime: Infinity, enabled: !saved })
  const preview = usePreview(draft, { base: saved ? { id: saved.id!, version: saved.version } : undefined })
  const hits = useMemo(() => hitsByRule(preview.data?.live?.groups), [preview.data])
  const save = useSave(saved, (id) => {
    forget()
    done(id)
  })
  const step: Step = steps.find((s) => s === url.step) ?? 'what'
  const at = steps.indexOf(step)
  const faults = faultsOf(draft)
  const wrong = (s: Step) => tried && faults.some((f) => f.step === s)
  const go = (s: Step) => setUrl({ step: s === 'what' ? undefined : s })
  const submit = () => {
    setTried(true)
    if (faults.length > 0) return go(faults[0]!.step)
    save.run(draft)
  }
  const list = (rules.data?.items ?? []).filter((r) => r.type !== 'image') // conditions on images have a step of their own
  return (
    <>
      <nav aria-label={t('steps')}>
        <ol className={css.steps}>
          {steps.map((s, i) => (
            <li key={s}>
              <button type="button" aria-current={s === step ? 'step' : undefined} onClick={() => go(s)}>
                <span className={css.stepNumber} aria-hidden>
                  {i + 1}
                </span>
                {t(`step.${s}`)}
                {wrong(s) && <span className={blocks.fault}>{t('incomplete')}</span>}
              </button>
            </li>
          ))}
        </ol>
      </nav>
      <div className={css.wizard}>
        <div className={blocks.stack}>
          <h2 className="unseen">{t(`step.${step}`)}</h2>
          {kept && draft !== first && saved && <Restored reset={() => change(first)} />}
          {rules.error ? <Problem error={rules.error} retry={() => void rules.refetch()} /> : null}
          {step === 'what' && <WhatStep draft={draft} change={change} presets={presets.data?.items ?? []} fresh={!saved} start={start} setStart={setStart} />}
          {step === 'rules' && (rules.isPending ? <Skeleton active paragraph={{ rows: 12 }} /> : <RulesStep draft={draft} change={change} rules={list} hits={hits} />)}
          {step === 'images' && <ImagesStep draft={draft} change={change} faults={tried ? faults : []} />}
          {step === 'scope' && <ScopeStep draft={draft} change={change} />}
          {step === 'rollout' && <RolloutStep draft={draft} change={change} faults={faults} />}
          {step === 'review' && <ReviewStep draft={draft} saved={saved} note={save.note} setNote={save.setNote} />}
          {tried && faults.length > 0 && (
            <Alert
              type="error"
              showIcon
              role="alert"
              title={t('notYet')}
              description={
                <ul>
                  {faults.map((f, i) => (
                    <li key={i}>
                      {t(`step.${f.step}`)}: {t(`fault.${f.code}`)}
                    </li>
                  ))}
                </ul>
              }
            />
          )}
          {save.error ? <Problem error={save.error} title={t('notSaved')} /> : null}
        </div>
        <PreviewPane ready={preview.ready} data={preview.data} pending={preview.isFetching} error={preview.error} retry={() => void preview.refetch()} narrow={narrow} saved={!!saved} name={draft.name} />
      </div>
      <div className={css.foot}>
        <span className={blocks.row}>
          <Button disabled={at === 0} onClick={() => go(steps[at - 1]!)}>
            {t('back')}
          </Button>
          {at < steps.length - 1 && (
            <Button type={saved ? 'default' : 'primary'} onClick={() => go(steps[at + 1]!)}>
              {t('next')}
            </Button>
          )}
        </span>
        <span className={blocks.row}>
          <Link to={saved ? '/protection/policies/$id' : '/protection/policies'} params={saved ? { id: saved.id! } : {}} onClick={forget}>
            {t('cancel')}
          </Link>
          <Button type={saved || step === 'review' ? 'primary' : 'default'} loading={save.isPending} onClick={submit}>
            {t('save')}
          </Button>
        </span>
      </div>
    </>
  )
}

// Restored says that what is seen was typed before, and is not saved.
function Restored({ reset }: { reset: () => void }) {
  const { t } = useTranslation('policies')
  return <Alert type="info" title={t('unsaved')} action={<Button size="small" onClick={reset}>{t('reset')}</Button>} />
}

// useSave keeps a policy: a new one, or a new version.
function useSave(saved: Kept | undefined, done: (id: string) => void) {
  const client = useQueryClient()
  const [note, setNote] = useState('')
  const finish = (p: Kept) => {
    void client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/policies') })
    done(p.id!)
  }
  const add = api.useMutation('post', '/api/v1/policies', { onSuccess: finish })
  const put = api.useMutation('put', '/api/v1/policies/{id}', { onSuccess: finish })
  const run = (draft: Draft) => {
    const body = { ...bodyOf(draft), note: note.trim() || undefined }
    if (saved) put.mutate({ params: { path: { id: Number(saved.id) } }, body })
    else add.mutate({ body })
  }
  return { run, note, setNote, isPending: add.isPending || put.isPending, error: add.error ?? put.error }
}
