import { useTranslation } from 'react-i18next'

import { parts, type Scope } from './choices'

// ScopeText says in a line what an exception covers.
export function ScopeText({ scope, cluster }: { scope: Scope; cluster?: string }) {
  const { t } = useTranslation('exceptions')
  const list = parts(scope).map((p) => `${t(`field.${p.field}`)}: ${p.field === 'fingerprint' ? p.value.slice(0, 12) + '…' : p.value}`)
  if (cluster) list.push(`${t('field.cluster')}: ${cluster}`)
  const text = list.join(' · ')
  return <span title={text}>{text}</span>
}
