import { DeleteOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { useNavigate, useParams } from '@tanstack/react-router'
import { App, Button, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { Ci } from './Ci'
import { Files } from './Files'
import { Gaps } from './Gaps'
import { History } from './History'
import { ScanBanner } from './ScanBanner'
import { UploadButtons, Uploads } from './Uploads'
import { api } from '../../api/client'
import { useMayOn } from '../../app/session'
import { Page } from '../../parts/Page'
import { TabBar } from '../../parts/TabBar'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { SeverityCounts } from '../../parts/Severity'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// ProjectPage shows one project: its files with findings by line, what each upload changed, what could not be read.
export default function ProjectPage() {
  const { t } = useTranslation('iac')
  const { number } = useFormat()
  const { project: name } = useParams({ strict: false }) as { project: string }
  const [search, set] = useUrl()
  const navigate = useNavigate()
  const client = useQueryClient()
  const { modal } = App.useApp()
  const project = api.useQuery('get', '/api/v1/projects/{name}', { params: { path: { name } } })
  const p = project.data
  const may = useMayOn('scan', p?.id ?? '')
  const remove = api.useMutation('delete', '/api/v1/projects/{name}', {
    onSuccess: () => {
      void navigate({ to: '/iac' })
      void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/projects' })
    },
  })
  const parents = [{ title: t('title'), to: '/iac' }]
  if (project.error) {
    return (
      <Page title={name} parents={parents}>
        <Problem error={project.error} retry={() => void project.refetch()} />
      </Page>
    )
  }
  if (!p) {
    return (
      <Page title={name} parents={parents}>
        <Skeleton active paragraph={{ rows: 16 }} />
      </Page>
    )
  }
  const ask = () =>
    modal.confirm({
      title: t('removeProject', { name }),
      content: t('removeProjectWhy'),
      okText: t('remove'),
      okButtonProps: { danger: true },
      cancelText: t('cancel'),
      onOk: () => remove.mutateAsync({ params: { path: { name } } }).catch(() => undefined),
    })
  const scanned = Boolean(p.uploadedAt)
  return (
    <Uploads may={may} project={name}>
      <Page
        title={name}
        parents={parents}
        lead={
          scanned && (
            <>
              <SeverityCounts counts={{ ...p.findings }} all link={(s) => ({ to: '/risks', search: { view: 'findings', target: p.id, severity: s } })} /> {t('inFiles', { risky: number(p.riskyFiles), all: number(p.files) })} ·{' '}
              {t('lastUpload')} <When at={p.uploadedAt} />
            </>
          )
        }
        actions={
          may && (
            <>
              <UploadButtons />
              <Button danger icon={<DeleteOutlined />} onClick={ask} loading={remove.isPending}>
                {t('remove')}
              </Button>
            </>
          )
        }
      >
        {remove.error ? <Problem error={remove.error} /> : null}
        <ScanBanner last={p.lastTask} asked={search.task} />
        <TabBar
          label={t('title')}
          active={search.tab ?? 'files'}
          onChange={(tab) => set({ tab: tab === 'files' ? undefined : tab })}
          tabs={[
            { key: 'files', label: t('filesTab', { number: number(p.files) }), children: <Files project={name} scanned={scanned} /> },
            { key: 'gaps', label: t('gapsTab', { number: number(p.notScanned) }), children: <Gaps target={p.id} scanned={scanned} /> },
            { key: 'uploads', label: t('history'), children: <History project={name} target={p.id} /> },
            { key: 'ci', label: t('ci'), children: <Ci project={name} /> },
          ]}
        />
      </Page>
    </Uploads>
  )
}
