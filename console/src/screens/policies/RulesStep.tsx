import { Button, Checkbox } from 'antd'
import { useDeferredValue, useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Draft } from './draft'
import { withRule, withUse } from './draft'
import css from './policies.module.css'
import { RuleRow } from './RuleRow'
import type { Rule } from './shapes'
import { TemplateUses } from './TemplateUses'
import blocks from '../../parts/Blocks.module.css'
import { Choice } from '../../parts/Choice'
import { SearchBox } from '../../parts/SearchBox'
import { severities } from '../../parts/Severity'
import { useFormat } from '../../text/format'

type Props = { draft: Draft; change: (d: Draft) => void; rules: Rule[]; hits: Map<string, number> }

const risks = ['control-plane', 'access-control', 'key-management', 'network', 'workload', 'node-escape', 'image', 'supply-chain'] as const

// RulesStep picks rules of the library, says what each does and how much it would hit.
export function RulesStep({ draft, change, rules, hits }: Props) {
  const { t } = useTranslation('policies')
  const { t: word } = useTranslation('words')
  const { number } = useFormat()
  const [q, setQ] = useState('')
  const [severity, setSeverity] = useState<string[]>([])
  const [risk, setRisk] = useState<string[]>([])
  const [mine, setMine] = useState(false)
  const uses = useMemo(() => new Map((draft.rules ?? []).map((r) => [r.rule, r])), [draft.rules])
  const words = useDeferredValue(q).toLowerCase().split(/\s+/).filter(Boolean)
  const shown = rules.filter((r) => {
    if (severity.length > 0 && !severity.includes(r.severity)) return false
    if (risk.length > 0 && !risk.includes(r.risk)) return false
    if (mine && !uses.has(r.rule)) return false
    const text = `${r.rule} ${r.id ?? ''} ${r.title} ${r.kinds.join(' ')}`.toLowerCase()
    return words.every((w) => text.includes(w))
  })
  const gone = [...uses.keys()].filter((name) => !rules.some((r) => r.rule === name))
  const all = (on: boolean) => change(shown.reduce((d, r) => (uses.has(r.rule) === on ? d : withRule(d, r.rule, on)), draft))
  return (
    <div className={blocks.stack}>
      <div className={blocks.row} role="search">
        <SearchBox label={t('rule.search')} value={q} onChange={setQ} />
        <Choice label={t('rule.severity')} value={severity} options={severities.map((s) => ({ value: s, label: word(`severity.${s}`) }))} onChange={setSeverity} width={150} />
        <Choice label={t('rule.risk')} value={risk} options={risks.map((r) => ({ value: r, label: word(`risk.${r}`) }))} onChange={setRisk} width={150} />
        <Checkbox checked={mine} onChange={(e) => setMine(e.target.checked)}>
          {t('rule.onlyChosen')}
        </Checkbox>
      </div>
      <div className={blocks.between}>
        <span role="status">{t('rule.chosenOf', { chosen: number(uses.size), all: number(rules.length) })}</span>
        <span className={blocks.row}>
          <Button size="small" disabled={shown.every((r) => uses.has(r.rule))} onClick={() => all(true)}>
            {t('rule.takeShown', { count: shown.length, number: number(shown.length) })}
          </Button>
          <Button size="small" disabled={!shown.some((r) => uses.has(r.rule))} onClick={() => all(false)}>
            {t('rule.dropShown')}
          </Button>
        </span>
      </div>
      {gone.map((name) => (
        <p key={name} className={blocks.fault}>
          {t('rule.gone', { name })}{' '}
          <Button size="small" onClick={() => change(withRule(draft, name, false))}>
            {t('remove')}
          </Button>
        </p>
      ))}
      <div className={css.rules} role="group" aria-label={t('step.rules')} tabIndex={shown.length === 0 ? 0 : undefined}>
        {shown.map((r) => (
          <RuleRow
            key={r.rule}
            rule={r}
            use={uses.get(r.rule)}
            hit={hits.get(r.rule)}
            policy={draft.action}
            toggle={(on) => change(withRule(draft, r.rule, on))}
            change={(c) => change(withUse(draft, r.rule, c))}
          />
        ))}
        {shown.length === 0 && <p className={blocks.hint}>{t('rule.none')}</p>}
      </div>
      <TemplateUses draft={draft} change={change} />
    </div>
  )
}
