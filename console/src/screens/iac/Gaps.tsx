import { useTranslation } from 'react-i18next'

import css from './iac.module.css'
import { fileOfGap } from './gap'
import { api, type Schemas } from '../../api/client'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { useUrl } from '../../parts/search'

type Gap = Schemas['Gap']

// Gaps lists the files of the last upload that could not be read, and why.
export function Gaps({ target, scanned }: { target: string; scanned: boolean }) {
  const { t } = useTranslation(['iac', 'words'])
  const [, set] = useUrl()
  const query = api.useInfiniteQuery('get', '/api/v1/gaps', { params: { query: { limit: 100, target: [Number(target)] } } }, paging)
  const columns: Column<Gap>[] = [
    {
      key: 'file',
      title: t('file'),
      width: 300,
      render: (gap) => {
        const { file, line } = fileOfGap(gap.subject)
        return (
          <a
            href={`?file=${encodeURIComponent(file)}`}
            className={css.path}
            onClick={(e) => {
              e.preventDefault()
              set({ tab: undefined, file, line, finding: undefined })
            }}
          >
            {gap.subject}
          </a>
        )
      },
    },
    { key: 'what', title: t('what'), width: 160, render: (gap) => gap.what },
    { key: 'code', title: t('kind'), width: 150, render: (gap) => t(`words:gap.${gap.code as 'broken'}`, { defaultValue: gap.code }) },
    { key: 'reason', title: t('reason'), width: 480, render: (gap) => <span title={gap.reason}>{gap.reason}</span> },
  ]
  return (
    <DataTable name="project-gaps" label={t('notScanned')} query={query} columns={columns} rowKey={(gap) => gap.id} empty={<EmptyState title={scanned ? t('allScanned') : t('notScannedYet')} />} />
  )
}
