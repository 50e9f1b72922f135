import { Skeleton } from 'antd'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import { FileTree } from './FileTree'
import { FileView, useFile } from './FileView'
import { FindingDetail } from './FindingDetail'
import { around, filesIn, firstRisky, treeOf } from './tree'
import css from './iac.module.css'
import { api } from '../../api/client'
import { EmptyState } from '../../parts/EmptyState'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'

// Files shows a project's files: the tree, the text of one, the finding that is chosen.
export function Files({ project, scanned }: { project: string; scanned: boolean }) {
  const { t } = useTranslation('iac')
  const [search, set] = useUrl()
  const { data, error, refetch } = api.useQuery('get', '/api/v1/projects/{name}/files', { params: { path: { name: project } } })
  const files = useMemo(() => data?.items ?? [], [data])
  const order = useMemo(() => filesIn(treeOf(files)), [files])
  const path = search.file ?? firstRisky(files)?.path ?? ''
  const file = useFile(project, path)
  if (error) return <Problem error={error} retry={() => void refetch()} />
  if (!data) return <Skeleton active paragraph={{ rows: 16 }} />
  if (files.length === 0) return <EmptyState title={scanned ? t('noFiles') : t('notScannedYet')} hint={scanned ? t('noFilesHint') : t('notScannedYetHint')} />
  const select = (to: string | undefined) => to && set({ file: to, line: undefined, finding: undefined })
  return (
    <div className={`${css.split} ${file.selected ? css.withDetail : ''}`}>
      <FileTree key={project} files={files} selected={path} onSelect={select} unlisted={data.unlisted} />
      <FileView path={path} file={file} onNextFile={(by) => select(around(order, path, by)?.path)} />
      {file.selected && <FindingDetail finding={file.selected} onClose={() => set({ finding: undefined, line: undefined }, true)} />}
    </div>
  )
}
