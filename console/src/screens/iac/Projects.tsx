import { Link, useNavigate } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { UploadButtons, Uploads } from './Uploads'
import css from './iac.module.css'
import { api, type Schemas } from '../../api/client'
import { useLive } from '../../app/live'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { useUrl } from '../../parts/search'
import { SeverityCounts } from '../../parts/Severity'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'
import { State } from '../scans/State'
import { useEverywhere } from '../scans/TargetFields'

type Project = Schemas['Project']

// Projects lists what was uploaded as code: manifests, charts, kustomizations, Dockerfiles.
export default function Projects() {
  const { t } = useTranslation('iac')
  const { number } = useFormat()
  const [search, set] = useUrl()
  const navigate = useNavigate()
  const may = useEverywhere('scan') // a new project is nobody's part
  const query = api.useInfiniteQuery('get', '/api/v1/projects', { params: { query: { limit: 50, search: search.search || undefined } } }, paging)
  useLive(['task'], ['/api/v1/projects'])
  const columns: Column<Project>[] = [
    {
      key: 'name',
      title: t('project'),
      width: 220,
      render: (p) => (
        <Link to="/iac/$project" params={{ project: p.name }}>
          {p.name}
        </Link>
      ),
    },
    { key: 'uploaded', title: t('lastUpload'), width: 140, render: (p) => <When at={p.uploadedAt} /> },
    {
      key: 'state',
      title: t('lastScan'),
      width: 160,
      render: (p) =>
        p.lastTask && (
          <Link to="/tasks/$id" params={{ id: p.lastTask.id }}>
            <State status={p.lastTask.status} />
          </Link>
        ),
    },
    {
      key: 'findings',
      title: t('findings'),
      width: 220,
      render: (p) => (p.uploadedAt ? <SeverityCounts counts={{ ...p.findings }} link={(s) => ({ to: '/risks', search: { view: 'findings', target: p.id, severity: s } })} /> : <span className={css.soft}>{t('notScannedYet')}</span>),
    },
    {
      key: 'files',
      title: t('riskyFiles'),
      width: 150,
      render: (p) => (
        <Link to="/iac/$project" params={{ project: p.name }}>
          {t('ofFiles', { risky: number(p.riskyFiles), all: number(p.files) })}
        </Link>
      ),
    },
    {
      key: 'gaps',
      title: t('notScanned'),
      width: 120,
      render: (p) =>
        p.notScanned > 0 ? (
          <Link to="/iac/$project" params={{ project: p.name }} search={{ tab: 'gaps' }}>
            {number(p.notScanned)}
          </Link>
        ) : (
          '0'
        ),
    },
  ]
  return (
    <Uploads may={may}>
      <Page title={t('title')} lead={t('lead')} actions={<UploadButtons />}>
        <SearchBox label={t('searchProjects')} value={search.search ?? ''} onChange={(v) => set({ search: v }, true)} />
        <DataTable
          name="projects"
          label={t('projects')}
          query={query}
          columns={columns}
          rowKey={(p) => p.id}
          onOpen={(p) => void navigate({ to: '/iac/$project', params: { project: p.name } })}
          empty={
            search.search ? (
              <EmptyState title={t('noneSuch')} hint={t('noneSuchHint')} />
            ) : (
              <div className={may ? css.drop : undefined}>
                <EmptyState title={t('none')} hint={may ? t('noneHint') : t('noneHintRead')} action={may && <span className={css.row} style={{ justifyContent: 'center' }}><UploadButtons /></span>} />
              </div>
            )
          }
        />
      </Page>
    </Uploads>
  )
}
