import { useId } from 'react'
import { useTranslation } from 'react-i18next'

import { parts, type Part } from './what'
import css from './scans.module.css'

// PartFields choose the scan items, each with a line that says what it looks at.
export function PartFields({ value, onChange }: { value: Part[]; onChange: (parts: Part[]) => void }) {
  const { t } = useTranslation('scans')
  const id = useId()
  const toggle = (part: Part, on: boolean) => onChange(parts.filter((p) => (p === part ? on : value.includes(p))))
  return (
    <div role="group" aria-label={t('items')} className={css.list}>
      {parts.map((part) => (
        <div key={part} className={css.part}>
          <input id={id + part} type="checkbox" checked={value.includes(part)} onChange={(e) => toggle(part, e.target.checked)} aria-describedby={`${id}${part}-why`} />
          <label htmlFor={id + part}>{t(`parts.${part}`)}</label>
          <p id={`${id}${part}-why`}>{t(`partsWhy.${part}`)}</p>
        </div>
      ))}
    </div>
  )
}
