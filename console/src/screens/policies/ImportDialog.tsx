import { useQueryClient } from '@tanstack/react-query'
import { Alert, App, Button, Input, Modal } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'

// ImportDialog takes policies and templates as a file: what would change is told before anything does.
export function ImportDialog() {
  const { t } = useTranslation('policies')
  const { notification } = App.useApp()
  const client = useQueryClient()
  const [open, setOpen] = useState(false)
  const [yaml, setYaml] = useState('')
  const check = api.useMutation('post', '/api/v1/policies/import')
  const take = api.useMutation('post', '/api/v1/policies/import', {
    onSuccess: (done) => {
      close()
      notification.success({ title: t('import.done', { count: done.items?.length ?? 0 }), role: 'status' })
      void client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/polic') })
    },
  })
  const close = () => {
    setOpen(false)
    setYaml('')
    check.reset()
    take.reset()
  }
  const set = (text: string) => {
    setYaml(text)
    check.reset()
  }
  const list = check.data?.items ?? []
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t('import.title')}</Button>
      <Modal
        open={open}
        title={t('import.title')}
        onCancel={close}
        width={720}
        destroyOnHidden
        mask={{ closable: false }} // a click beside it would lose what was pasted
        okText={check.data ? t('import.take') : t('import.check')}
        confirmLoading={check.isPending || take.isPending}
        okButtonProps={{ disabled: !yaml.trim() }}
        onOk={() => (check.data ? take.mutate({ body: { yaml } }) : check.mutate({ body: { yaml, dryRun: true } }))}
      >
        <div className={blocks.stack}>
          <p>{t('import.hint')}</p>
          <label htmlFor="import-file">{t('import.file')}</label>
          <input id="import-file" type="file" accept=".yaml,.yml,.json" onChange={(e) => void e.target.files?.[0]?.text().then(set)} />
          <label htmlFor="import-text">{t('import.text')}</label>
          <Input.TextArea id="import-text" value={yaml} onChange={(e) => set(e.target.value)} spellCheck={false} autoSize={{ minRows: 6, maxRows: 16 }} />
          {check.error ? <Problem error={check.error} title={t('import.refused')} /> : null}
          {take.error ? <Problem error={take.error} title={t('import.refused')} /> : null}
          {check.data && (
            <Alert
              type="info"
              showIcon
              role="status"
              title={t('import.would', { count: list.length })}
              description={
                <ul>
                  {list.map((x, i) => (
                    <li key={i}>
                      <strong>{x.name}</strong> {t(`import.${x.done}`)}
                    </li>
                  ))}
                </ul>
              }
            />
          )}
        </div>
      </Modal>
    </>
  )
}
