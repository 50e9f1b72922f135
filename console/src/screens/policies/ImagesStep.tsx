import { Button, Checkbox, Dropdown, Radio } from 'antd'
import { useTranslation } from 'react-i18next'

import { ActionSelect } from './ActionSelect'
import { AllowedImages } from './AllowedImages'
import { CheckFields } from './CheckFields'
import type { Draft, Fault } from './draft'
import css from './policies.module.css'
import { actions, checks, type Action, type ImageCheck } from './shapes'
import blocks from '../../parts/Blocks.module.css'

type Props = { draft: Draft; change: (d: Draft) => void; faults: Fault[] }

// ImagesStep says what images must be like, which are let in without a look, and what happens when there is no answer.
export function ImagesStep({ draft, change, faults }: Props) {
  const { t } = useTranslation('policies')
  const list = draft.checks ?? []
  const set = (next: ImageCheck[]) => change({ ...draft, checks: next })
  const put = (i: number, c: Partial<ImageCheck>) => set(list.map((x, k) => (k === i ? { ...x, ...c } : x)))
  return (
    <div className={blocks.stack}>
      <fieldset className={blocks.group}>
        <legend>{t('check.title')}</legend>
        {list.length === 0 && <span className={blocks.hint}>{t('check.none')}</span>}
        {list.map((c, i) => (
          <section key={i} className={css.box} aria-label={t(`check.${c.check}`)}>
            <div className={blocks.between}>
              <strong>{t(`check.${c.check}`)}</strong>
              <span className={blocks.row}>
                <ActionSelect label={t('rule.actionOf', { title: t(`check.${c.check}`) })} value={c.action} policy={draft.action} change={(action) => put(i, { action })} />
                <Button size="small" onClick={() => set(list.filter((_, k) => k !== i))} aria-label={t('removeOf', { name: t(`check.${c.check}`) })}>
                  {t('remove')}
                </Button>
              </span>
            </div>
            <span className={blocks.hint}>{t(`checkHint.${c.check}`)}</span>
            <CheckFields id={`check-${i}`} check={c} change={(next) => put(i, next)} />
            {faults.map((f) =>
              f.step === 'images' && f.at === i && f.code !== 'allowed' ? (
                <span key={f.code} role="alert" className={blocks.fault}>
                  {t(`fault.${f.code}`)}
                </span>
              ) : null,
            )}
          </section>
        ))}
        <Dropdown trigger={['click']} menu={{ items: checks.map((c) => ({ key: c, label: t(`check.${c}`), onClick: () => set([...list, c === 'vulnerability' || c === 'baseline' || c === 'secret' ? { check: c, severity: 'high' } : { check: c }]) })) }}>
          <Button style={{ alignSelf: 'start' }}>{t('check.add')}</Button>
        </Dropdown>
      </fieldset>
      <AllowedImages draft={draft} change={change} faults={faults} />
      {list.length > 0 && (
        <>
          <fieldset className={blocks.group}>
            <legend>{t('unanswered')}</legend>
            <span className={blocks.hint}>{t('unansweredHint')}</span>
            <Radio.Group value={draft.unanswered || 'audit'} onChange={(e) => change({ ...draft, unanswered: e.target.value as Action })} className={blocks.stack}>
              {actions.map((a) => (
                <Radio key={a} value={a}>
                  {t(`unansweredAs.${a}`)}
                </Radio>
              ))}
            </Radio.Group>
            {draft.unanswered === 'block' && <span className={blocks.warn}>{t('unansweredWarning')}</span>}
          </fieldset>
          <Checkbox checked={!!draft.mutate} onChange={(e) => change({ ...draft, mutate: e.target.checked })}>
            {t('mutate')} <span className={blocks.hint}>{t('mutateHint')}</span>
          </Checkbox>
        </>
      )}
    </div>
  )
}
