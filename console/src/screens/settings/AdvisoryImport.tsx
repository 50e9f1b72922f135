import { InboxOutlined } from '@ant-design/icons'
import { Alert, App, Progress, Upload } from 'antd'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'

import { path, type Data } from './Advisories'
import css from './Settings.module.css'
import { call } from '../../api/client'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useFormat } from '../../text/format'

// AdvisoryImport takes a file. How far it is the server tells: it counts what arrives, and then checks it.
export function AdvisoryImport({ data }: { data: Data }) {
  const { t } = useTranslation('settings')
  const { message } = App.useApp()
  const client = useQueryClient()
  const again = () => client.invalidateQueries({ predicate: (q) => q.queryKey[1] === path })
  const send = useMutation({
    mutationFn: async (file: File) => {
      setTimeout(() => void again(), 300) // the server is busy by then: its progress shows
      const { data } = await call.POST('/api/v1/advisories/import', { body: file as never, bodySerializer: (body: unknown) => body as File, headers: { 'Content-Type': 'application/octet-stream' } })
      return data
    },
    onSuccess: (update) => void message.success(t(update?.result === 'same' ? 'advisories.same' : 'advisories.imported')),
    onSettled: () => void again(),
  })
  const { folder, busy } = data
  return (
    <Panel title={t('import.title')}>
      <div className={css.stack}>
        {!folder.writable && <Alert type="info" showIcon title={t(folder.reason === 'none' ? 'import.noFolder' : 'import.readOnly', { detail: folder.detail ?? '' })} description={t('import.otherWay')} />}
        {folder.writable && folder.given && <Alert type="info" showIcon title={t('import.given')} />}
        {folder.writable && (
          <Upload.Dragger
            accept=".tar,.db"
            multiple={false}
            showUploadList={false}
            disabled={send.isPending || Boolean(busy)}
            beforeUpload={(file) => {
              send.mutate(file)
              return false
            }}
          >
            <p>
              <InboxOutlined style={{ fontSize: 32 }} aria-hidden />
            </p>
            <p>{t('import.drop')}</p>
            <p className="text-soft">{t('import.hint')}</p>
          </Upload.Dragger>
        )}
        {busy ? <Coming busy={busy} /> : send.isPending && <Progress percent={0} status="active" aria-label={t('import.title')} />}
        {send.error && <Problem error={send.error} title={t('import.failed')} />}
      </div>
    </Panel>
  )
}

// Coming shows a database on its way.
function Coming({ busy }: { busy: NonNullable<Data['busy']> }) {
  const { t } = useTranslation('settings')
  const { bytes } = useFormat()
  const percent = busy.phase === 'checking' ? 99 : busy.totalBytes ? Math.min(98, Math.floor((busy.bytes / busy.totalBytes) * 100)) : 0
  return (
    <div role="status">
      <Progress percent={percent} status="active" showInfo={Boolean(busy.totalBytes)} aria-label={t('import.title')} />
      <span className="text-soft">
        {busy.phase === 'checking' ? t('import.checking') : t(`import.receiving.${busy.how}`, { bytes: bytes(busy.bytes), source: busy.source ?? '' })}
      </span>
    </div>
  )
}
