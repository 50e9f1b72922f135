import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import type { Body } from './model'
import { EmptyState } from '../../parts/EmptyState'

// None tells "no path was found" from "nothing was looked at".
export function None({ body, assumed }: { body: Body; assumed: boolean }) {
  const { t } = useTranslation('attack')
  if (body.graphs.length === 0)
    return <EmptyState title={t('nothingYet')} hint={t('nothingYetHint')} action={<Link to="/scans">{t('toScans')}</Link>} />
  return <EmptyState title={t('none')} hint={body.gaps.length > 0 ? t('noneBut') : assumed ? t('noneAtAll') : t('noneHint')} />
}
