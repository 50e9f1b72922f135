import { useTranslation } from 'react-i18next'

import { ActionTag } from './ActionTag'
import { sharpestOf, type Draft } from './draft'
import css from './policies.module.css'
import { stages } from './rollout'
import { useFormat } from '../../text/format'

// Timeline says what a policy does from when on.
export function Timeline({ policy }: { policy: Pick<Draft, 'action' | 'rules' | 'checks' | 'templates' | 'unanswered' | 'rollout'> }) {
  const { t } = useTranslation('policies')
  const { date } = useFormat()
  return (
    <ol className={css.timeline}>
      {stages(policy, sharpestOf(policy)).map((s) => (
        <li key={s.action} aria-current={s.now ? 'step' : undefined}>
          <ActionTag action={s.action} /> {s.from ? t(s.now ? 'since' : 'from', { date: date(s.from) }) : s.now ? t('now') : ''}
        </li>
      ))}
    </ol>
  )
}
