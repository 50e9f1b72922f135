import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './Integrations.module.css'
import type { Schemas } from '../../api/client'
import { Verdict } from '../../parts/Verdict'
import { useFormat } from '../../text/format'

type Check = NonNullable<Schemas['Registry']['check']>

const key = {
  ok: 'ok',
  refused: 'refused',
  'unknown-name': 'name',
  unreachable: 'unreachable',
  slow: 'slow',
  untrusted: 'untrusted',
  'no-registry': 'none',
  denied: 'denied',
  missing: 'missing',
} as const

// RegistryState says what the last check saw, in a few words.
export function RegistryState({ check }: { check: Check | undefined }) {
  const { t } = useTranslation('integrations')
  if (!check) return <Verdict state="unknown" word={t('check.not')} />
  return <Verdict state={check.state === 'ok' ? 'ok' : 'bad'} word={t(`check.state.${key[check.state]}`)} why={check.detail} />
}

// RegistryCheck shows all that a check saw.
export function RegistryCheck({ check }: { check: Check }) {
  const { t } = useTranslation('integrations')
  const { duration } = useFormat()
  return (
    <Alert
      role="status"
      showIcon
      type={check.state === 'ok' ? 'success' : 'error'}
      title={t(`check.state.${key[check.state]}`)}
      description={
        <dl className={css.facts}>
          <dt>{t('check.reachable')}</dt>
          <dd>{check.reachable ? t('yes') : t('no')}</dd>
          <dt>{t('check.secure')}</dt>
          <dd>{check.secure ? t('yes') : t('no')}</dd>
          <dt>{t('check.credentials')}</dt>
          <dd>{t(`check.credential.${check.credentials}`)}</dd>
          <dt>{t('check.product')}</dt>
          <dd>{check.product || t('check.unknown')}</dd>
          <dt>{t('check.took')}</dt>
          <dd>{duration(check.tookMs)}</dd>
          {check.detail && (
            <>
              <dt>{t('check.detail')}</dt>
              <dd>{check.detail}</dd>
            </>
          )}
        </dl>
      }
    />
  )
}
