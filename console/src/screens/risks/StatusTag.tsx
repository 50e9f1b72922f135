import { useTranslation } from 'react-i18next'

import css from './Risks.module.css'

// StatusTag names a status; what is not active any more is drawn lighter.
export function StatusTag({ status }: { status: string }) {
  const { t } = useTranslation('words')
  const active = status === 'open' || status === 'reopened' || status === 'unseen'
  return <span className={active ? undefined : css.soft}>{t(`status.${status as 'open'}`)}</span>
}
