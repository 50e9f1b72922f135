import { useTranslation } from 'react-i18next'

import css from './Exceptions.module.css'
import type { Status } from './tabs'

// StatusTag names the status of an exception.
export function StatusTag({ status }: { status: Status }) {
  const { t } = useTranslation('exceptions')
  return <span className={`${css.tag} ${css[status] ?? ''}`}>{t(`status.${status}`)}</span>
}
