import { Input, Radio } from 'antd'
import { useTranslation } from 'react-i18next'

import type { Draft } from './draft'
import css from './policies.module.css'
import { begin } from './presets'
import { actions, type Action, type Preset } from './shapes'
import { language } from '../../text/start'
import blocks from '../../parts/Blocks.module.css'

type Props = { draft: Draft; change: (d: Draft) => void; presets: Preset[]; fresh: boolean; start?: string; setStart: (s: string) => void }

// WhatStep says what the policy is for: a starting point, its name, what it does with what it finds.
export function WhatStep({ draft, change, presets, fresh, start, setStart }: Props) {
  const { t } = useTranslation('policies')
  return (
    <div className={blocks.stack}>
      {fresh && (
        <fieldset className={blocks.group}>
          <legend>{t('start.title')}</legend>
          <div className={css.starts}>
            {[...presets, undefined].map((p) => (
              <button
                key={p?.id ?? ''}
                type="button"
                className={css.start}
                aria-pressed={start === (p?.id ?? '')}
                onClick={() => {
                  setStart(p?.id ?? '')
                  change(begin(p, draft))
                }}
              >
                <strong>{p ? p.title[language()] : t('start.empty')}</strong>
                <span className="text-soft">{p ? p.description[language()] : t('start.emptyHint')}</span>
                {(p?.policy.rules?.length ?? 0) > 0 && <span className={blocks.hint}>{t('rulesCount', { count: p!.policy.rules!.length })}</span>}
              </button>
            ))}
          </div>
        </fieldset>
      )}
      <div className={blocks.field}>
        <label htmlFor="policy-name">{t('name')}</label>
        <Input id="policy-name" value={draft.name} maxLength={100} required autoComplete="off" onChange={(e) => change({ ...draft, name: e.target.value })} />
        <span className={blocks.hint}>{t('nameHint')}</span>
      </div>
      <div className={blocks.field}>
        <label htmlFor="policy-description">{t('description')}</label>
        <Input.TextArea id="policy-description" value={draft.description ?? ''} maxLength={2000} autoSize={{ minRows: 2, maxRows: 6 }} onChange={(e) => change({ ...draft, description: e.target.value })} />
      </div>
      <fieldset className={blocks.group}>
        <legend>{t('actionOf')}</legend>
        <Radio.Group value={draft.action} onChange={(e) => change({ ...draft, action: e.target.value as Action })} className={blocks.stack}>
          {actions.map((a) => (
            <Radio key={a} value={a}>
              <strong>{t(`action.${a}`)}</strong> <span className="text-soft">{t(`actionHint.${a}`)}</span>
            </Radio>
          ))}
        </Radio.Group>
      </fieldset>
    </div>
  )
}
