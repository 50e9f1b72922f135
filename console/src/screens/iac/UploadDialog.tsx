import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { Alert, Form, Input, Modal, Progress } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { formOf, isEmpty, projectOf, sizeOf, validName, type Gathered } from './dropped'
import css from './iac.module.css'
import { api } from '../../api/client'
import { Problem } from '../../parts/Problem'
import { useFormat } from '../../text/format'

type Props = { gathered: Gathered; project?: string; onClose: () => void }

// UploadDialog shows what is about to be sent and what is left out, asks for the project, and sends it.
export default function UploadDialog({ gathered, project, onClose }: Props) {
  const { t } = useTranslation('iac')
  const { number, bytes } = useFormat()
  const navigate = useNavigate()
  const client = useQueryClient()
  const [name, setName] = useState(project ?? projectOf(gathered.folder))
  const good = validName.test(name)
  const send = api.useMutation('post', '/api/v1/projects/{name}/scans', {
    onSuccess: (task) => {
      onClose()
      void client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/projects') })
      void navigate({ to: '/iac/$project', params: { project: name }, search: { task: task.id } })
    },
  })
  const upload = () => {
    // The document says nothing of the body, which is a form here.
    const body = { body: formOf(gathered), bodySerializer: (form: unknown) => form } as object
    send.mutate({ params: { path: { name } }, ...body } as Parameters<typeof send.mutate>[0])
  }
  const size = bytes(sizeOf(gathered))
  return (
    <Modal
      open
      title={project ? t('uploadTo', { name: project }) : t('uploadNew')}
      onCancel={onClose}
      okText={t('uploadAndScan')}
      cancelText={t('cancel')}
      onOk={upload}
      confirmLoading={send.isPending}
      okButtonProps={{ disabled: !good || isEmpty(gathered) }}
      cancelButtonProps={{ disabled: send.isPending }}
      mask={{ closable: false }}
    >
      <div className={css.stack}>
        <Form layout="vertical" component={false}>
          <Form.Item label={t('projectName')} htmlFor="project-name" extra={t('projectNameWhy')} validateStatus={name && !good ? 'error' : undefined} help={name && !good ? t('projectNameBad') : undefined}>
            <Input id="project-name" value={name} disabled={Boolean(project) || send.isPending} maxLength={100} onChange={(e) => setName(e.target.value)} />
          </Form.Item>
        </Form>
        {gathered.archive ? (
          <p>{t('archive', { name: gathered.archive.name, size })}</p>
        ) : (
          <details open={gathered.files.length <= 10}>
            <summary>{t('filesOf', { count: gathered.files.length, number: number(gathered.files.length), size })}</summary>
            <ul className={css.list}>
              {gathered.files.slice(0, 200).map((f) => (
                <li key={f.name} className={css.path}>
                  {f.name}
                </li>
              ))}
              {gathered.files.length > 200 && <li>{t('andMore', { number: number(gathered.files.length - 200) })}</li>}
            </ul>
          </details>
        )}
        {gathered.left.length > 0 && (
          <Alert
            type="warning"
            showIcon
            title={t('leftOut', { count: gathered.left.length, number: number(gathered.left.length) })}
            description={
              <ul className={css.list}>
                {gathered.left.slice(0, 100).map((l) => (
                  <li key={l.name + l.reason}>
                    <span className={css.path}>{l.name}</span>: {t(`leftWhy.${l.reason}`)}
                  </li>
                ))}
              </ul>
            }
          />
        )}
        {send.isPending && (
          <div role="status">
            <Progress percent={100} status="active" showInfo={false} aria-label={t('sending', { size })} />
            {t('sending', { size })}
          </div>
        )}
        {send.error ? <Problem error={send.error} /> : null}
      </div>
    </Modal>
  )
}
