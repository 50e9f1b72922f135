import { useTranslation } from 'react-i18next'

import { fieldsOf } from './draft'
import type { ImageCheck } from './shapes'
import { percent, useFormat } from '../../text/format'

// CheckWords says the conditions of a check in a line.
export function CheckWords({ check: c }: { check: ImageCheck }) {
  const { t } = useTranslation('policies')
  const { t: word } = useTranslation('words')
  const { list } = useFormat()
  const has = (f: keyof ImageCheck) => fieldsOf[c.check].includes(f)
  const parts = [
    has('severity') && t('checkWords.severity', { severity: word(`severity.${c.severity || 'high'}`) }),
    has('fixable') && c.fixable && t('field.fixable'),
    has('exploited') && c.exploited && t('field.exploited'),
    has('epss') && c.epss && t('checkWords.epss', { share: percent(c.epss) }),
    has('olderThanDays') && c.olderThanDays && t('checkWords.older', { count: c.olderThanDays }),
    has('maxAgeDays') && c.maxAgeDays && t('checkWords.age', { count: c.maxAgeDays }),
    has('cves') && c.cves?.length && list(c.cves.slice(0, 5)) + (c.cves.length > 5 ? ` +${c.cves.length - 5}` : ''),
    has('allow') && c.allow?.length && list(c.allow),
    has('keys') && c.keys?.length && list(c.keys.map((k) => k.name)),
  ].filter(Boolean)
  return <span className="text-soft">{parts.join(' · ')}</span>
}
