import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import type { Schemas } from '../../api/client'
import { useFormat } from '../../text/format'

// EffectView says what an action changes of what is selected.
export function EffectView({ effect: e }: { effect: Schemas['AdmissionEffect'] }) {
  const { t } = useTranslation('admission')
  const { number, list } = useFormat()
  const same = e.selected - e.changed - (e.notAllowed ?? 0) - (e.skipped ?? 0)
  return (
    <Alert
      type={e.changed > 0 ? 'info' : 'warning'}
      showIcon
      title={t('willChange', { count: e.changed, number: number(e.changed), of: number(e.selected) })}
      description={
        <>
          {same > 0 && <div>{t('already', { count: same, number: number(same) })}</div>}
          {(e.policies ?? []).map((p) => (
            <div key={p.id} style={{ overflowWrap: 'anywhere' }}>
              {t('policyEffect', { name: p.name, what: list((p.added ?? []).slice(0, 5)) })}
            </div>
          ))}
          {(e.exceptions?.length ?? 0) > 0 && <div>{t('exceptionEffect', { count: e.exceptions!.length })}</div>}
          {(e.skipped ?? 0) > 0 && <div>{t('skipped', { count: e.skipped, number: number(e.skipped!) })}</div>}
          {(e.notAllowed ?? 0) > 0 && <div>{t('notAllowed', { count: e.notAllowed, number: number(e.notAllowed!) })}</div>}
        </>
      }
    />
  )
}
