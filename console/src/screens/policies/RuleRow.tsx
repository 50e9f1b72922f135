import { Link } from '@tanstack/react-router'
import { useId } from 'react'
import { useTranslation } from 'react-i18next'

import { ActionSelect } from './ActionSelect'
import { ParamFields } from './ParamFields'
import { standardOf, type Params } from './params'
import css from './policies.module.css'
import type { Action, Rule, RuleUse } from './shapes'
import blocks from '../../parts/Blocks.module.css'
import { SeverityTag } from '../../parts/Severity'
import { useFormat } from '../../text/format'
import { kindName } from '../rules/model'

type Props = {
  rule: Rule
  use?: RuleUse
  hit?: number // objects that violate it now, from the preview
  policy: Action
  toggle: (on: boolean) => void
  change: (c: Partial<RuleUse>) => void
}

// RuleRow is one rule to choose; once it is chosen, what happens to what it finds and its parameters.
export function RuleRow({ rule: r, use, hit, policy, toggle, change }: Props) {
  const { t } = useTranslation('policies')
  const { t: word } = useTranslation('words')
  const { number } = useFormat()
  const id = useId()
  const [family = '', name = ''] = r.rule.split('/')
  const standard = standardOf(r.params)
  const count = hit ?? r.active
  return (
    <div className={css.rule}>
      <input id={id} type="checkbox" checked={!!use} onChange={(e) => toggle(e.target.checked)} aria-describedby={`${id}-more`} />
      <div className={css.ruleBody}>
        <div className={css.ruleHead}>
          <label htmlFor={id}>{r.title}</label>
          <SeverityTag severity={r.severity} />
          <span id={`${id}-more`} className={blocks.hint}>
            {count === undefined ? '' : count === 0 ? t('rule.hitsNone') : t('rule.hits', { count, number: number(count) })}
          </span>
        </div>
        <details>
          <summary className={blocks.summary}>
            {r.id && <code>{r.id}</code>} · {word(`risk.${r.risk as 'workload'}`)} · {r.kinds.slice(0, 3).map(kindName).join(', ')}
            {r.kinds.length > 3 && ` +${r.kinds.length - 3}`}
          </summary>
          <p className={blocks.anywhere}>{r.why}</p>
          <Link to="/rules/$family/$rule" params={{ family, rule: name }} target="_blank">
            {t('rule.page')}
          </Link>
        </details>
        {use && (
          <div className={blocks.row}>
            <ActionSelect label={t('rule.actionOf', { title: r.title })} value={use.action} policy={policy} change={(action) => change({ action })} />
          </div>
        )}
        {use && Object.keys(standard).length > 0 && (
          <details open={!!use.params}>
            <summary className={blocks.summary}>{t('param.title', { count: Object.keys(standard).length })}</summary>
            <ParamFields standard={standard} own={use.params as Params | undefined} change={(params) => change({ params })} />
          </details>
        )}
      </div>
    </div>
  )
}
