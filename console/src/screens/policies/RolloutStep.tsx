import { Button, Checkbox, Input, Radio } from 'antd'
import { useTranslation } from 'react-i18next'

import { sharpestOf, type Draft, type Fault } from './draft'
import { dayOf, fromDay, inDays } from './rollout'
import { Timeline } from './Timeline'
import blocks from '../../parts/Blocks.module.css'

type Props = { draft: Draft; change: (d: Draft) => void; faults: Fault[] }

// RolloutStep makes a policy sharper by days: audited now, warned from, blocked from.
export function RolloutStep({ draft, change, faults }: Props) {
  const { t } = useTranslation('policies')
  const r = draft.rollout ?? {}
  const sharpest = sharpestOf(draft)
  const set = (c: Partial<typeof r>) => change({ ...draft, rollout: { ...r, ...c } })
  const staged = !!(r.warnFrom || r.blockFrom)
  const plan = () => set(sharpest === 'block' ? { warnFrom: fromDay(inDays(7)), blockFrom: fromDay(inDays(14)) } : { warnFrom: fromDay(inDays(7)) })
  return (
    <div className={blocks.stack}>
      <p>{t('rollout.hint')}</p>
      {sharpest === 'audit' ? (
        <p className={blocks.hint}>{t('rollout.onlyAudit')}</p>
      ) : (
        <>
          <Radio.Group value={staged} onChange={(e) => ((e.target.value as boolean) ? plan() : change({ ...draft, rollout: {} }))} aria-label={t('step.rollout')}>
            <Radio value={false}>{t('rollout.atOnce')}</Radio>
            <Radio value={true}>{t('rollout.staged')}</Radio>
          </Radio.Group>
          {staged && (
            <div className={blocks.fields}>
              <div className={blocks.field}>
                <label htmlFor="warn-from">{t('rollout.warnFrom')}</label>
                <Input id="warn-from" type="date" value={dayOf(r.warnFrom)} onChange={(e) => set({ warnFrom: fromDay(e.target.value) })} />
              </div>
              {sharpest === 'block' && (
                <div className={blocks.field}>
                  <label htmlFor="block-from">{t('rollout.blockFrom')}</label>
                  <Input id="block-from" type="date" value={dayOf(r.blockFrom)} onChange={(e) => set({ blockFrom: fromDay(e.target.value) })} />
                </div>
              )}
            </div>
          )}
          {staged && <span className={blocks.hint}>{t('rollout.utc')}</span>}
        </>
      )}
      {faults.some((f) => f.code === 'order') && (
        <span role="alert" className={blocks.fault}>
          {t('fault.order')}
        </span>
      )}
      <Timeline policy={draft} />
      {staged && sharpest === 'block' && (
        <Button size="small" style={{ alignSelf: 'start' }} onClick={() => change({ ...draft, rollout: {} })}>
          {t('rollout.drop')}
        </Button>
      )}
      <fieldset className={blocks.group}>
        <legend>{t('engine.title')}</legend>
        <Radio.Group value={draft.engine || 'gatekeeper'} onChange={(e) => change({ ...draft, engine: e.target.value as 'vap' })} className={blocks.stack}>
          <Radio value="gatekeeper">{t('engine.gatekeeper')}</Radio>
          <Radio value="vap">{t('engine.vap')}</Radio>
        </Radio.Group>
      </fieldset>
      <Checkbox checked={!!draft.disabled} onChange={(e) => change({ ...draft, disabled: e.target.checked })}>
        {t('disabled')} <span className={blocks.hint}>{t('disabledHint')}</span>
      </Checkbox>
    </div>
  )
}
