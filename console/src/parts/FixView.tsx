import { CheckCircleOutlined, DownloadOutlined } from '@ant-design/icons'
import { Alert, Button, Skeleton, Tabs } from 'antd'
import { useTranslation } from 'react-i18next'

import { api, type Schemas } from '../api/client'
import { CodeView } from './CodeView'
import { Copy } from './Copy'
import { DiffView } from './DiffView'
import css from './EvidenceView.module.css'
import { save } from './file'
import { Problem } from './Problem'
import { sentence } from './said'

type Change = Schemas['FixChange']

// FixView shows what to do about a finding: a change that was tried, as a difference to copy and a patch to download, or the steps.
export function FixView({ findingId }: { findingId: string }) {
  const { t } = useTranslation('parts')
  const query = api.useQuery('get', '/api/v1/findings/{id}/fix', { params: { path: { id: Number(findingId) } } }, { staleTime: 60_000 })
  if (query.isPending) return <Skeleton active paragraph={{ rows: 6 }} title={false} />
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  const fix = query.data
  return (
    <div className={css.stack}>
      {fix.verified && (
        <div className={css.tried}>
          <CheckCircleOutlined aria-hidden /> {t('fix.verified')}
        </div>
      )}
      {fix.available && !fix.verified && <Alert type="info" showIcon title={t('fix.update')} />}
      {!fix.available && fix.reason && <Alert type="info" showIcon title={t('fix.none')} description={sentence(fix.reason)} />}
      {fix.steps.length > 0 && (
        <div>
          <strong>{t('fix.steps')}</strong>
          <ol className={css.steps}>
            {fix.steps.map((step) => (
              <li key={step}>{step}</li>
            ))}
          </ol>
        </div>
      )}
      {fix.patch && <PatchView patch={fix.patch} diff={fix.diff} />}
    </div>
  )
}

function PatchView({ patch, diff }: { patch: Change; diff?: string }) {
  const { t } = useTranslation('parts')
  const update = patch.kind === 'update'
  const body = (
    <div className={css.stack}>
      <CodeView label={t(update ? 'fix.lines' : 'fix.patchLabel', { name: patch.filename })} text={patch.body} height={320} />
      <div>
        <Copy text={patch.body} label={t(update ? 'fix.copyLines' : 'fix.copyPatch')} />
      </div>
    </div>
  )
  return (
    <div className={css.stack}>
      {diff ? (
        <Tabs
          size="small"
          items={[
            { key: 'diff', label: t('fix.diff'), children: <DiffView label={t('fix.diffLabel')} diff={diff} /> },
            { key: 'patch', label: t(`fix.kind.${patch.kind}`), children: body },
          ]}
        />
      ) : (
        <>
          {update && <strong>{t('fix.lines', { name: patch.filename })}</strong>}
          {body}
        </>
      )}
      {patch.command && (
        <div>
          <strong>{t('fix.apply')}</strong>
          <div className={css.command}>
            <code>{patch.command}</code>
            <Copy text={patch.command} label={t('fix.copyCommand')} />
          </div>
        </div>
      )}
      {!update && (
        <div>
          <Button icon={<DownloadOutlined />} onClick={() => save(new Blob([patch.body], { type: 'application/octet-stream' }), patch.filename)}>
            {t('fix.download', { name: patch.filename })}
          </Button>
        </div>
      )}
    </div>
  )
}
