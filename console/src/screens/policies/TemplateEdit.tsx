import { useQueryClient } from '@tanstack/react-query'
import { useNavigate, useParams } from '@tanstack/react-router'
import { App, Button, Input, Popconfirm, Skeleton } from 'antd'
import { useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './policies.module.css'
import { exampleTemplate } from './exampleTemplate'
import { faultsOf } from './templateFaults'
import { api } from '../../api/client'
import { useMay } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { CodeView } from '../../parts/CodeView'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'

// TemplateEdit writes a ConstraintTemplate. The engine tests it before it is kept; what is wrong is told by line.
export default function TemplateEdit() {
  const { t } = useTranslation('policies')
  const { name = 'new' } = useParams({ strict: false })
  const fresh = name === 'new'
  const kept = api.useQuery('get', '/api/v1/policy-templates/{name}', { params: { path: { name } } }, { enabled: !fresh })
  const parents = [
    { title: t('title'), to: '/protection/policies' },
    { title: t('template.title'), to: '/protection/templates' },
  ]
  return (
    <Page title={fresh ? t('template.new') : name} lead={t('template.editLead')} parents={parents}>
      {kept.error ? (
        <Problem error={kept.error} retry={() => void kept.refetch()} />
      ) : !fresh && !kept.data ? (
        <Skeleton active paragraph={{ rows: 16 }} />
      ) : (
        <Editor key={kept.data?.updatedAt ?? ''} name={fresh ? undefined : name} first={kept.data?.yaml ?? exampleTemplate} used={kept.data?.policies?.length ?? 0} description={kept.data?.description ?? ''} />
      )}
    </Page>
  )
}

type Props = { name?: string; first: string; used: number; description: string }

function Editor({ name, first, used, description: about }: Props) {
  const { t } = useTranslation('policies')
  const may = useMay('manage-policies')
  const navigate = useNavigate()
  const client = useQueryClient()
  const { notification } = App.useApp()
  const [yaml, setYaml] = useState(first)
  const [tested, setTested] = useState('') // the text that the faults are about
  const [description, setDescription] = useState(about)
  const box = useRef<HTMLTextAreaElement>(null)
  const saved = (x: { name: string }) => {
    notification.success({ title: t('template.saved', { name: x.name }), role: 'status' })
    void client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/policy-templates') })
    void navigate({ to: '/protection/templates/$name', params: { name: x.name } })
  }
  const add = api.useMutation('post', '/api/v1/policy-templates', { onSuccess: saved })
  const put = api.useMutation('put', '/api/v1/policy-templates/{name}', { onSuccess: saved })
  const remove = api.useMutation('delete', '/api/v1/policy-templates/{name}', {
    onSuccess: () => {
      void client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/policy-templates') })
      void navigate({ to: '/protection/templates' })
    },
  })
  const error = add.error ?? put.error
  const faults = faultsOf(error)
  const save = () => {
    setTested(yaml)
    const body = { name: name ?? nameOf(yaml), yaml, description: description.trim() || undefined }
    if (name) put.mutate({ params: { path: { name } }, body })
    else add.mutate({ body })
  }
  // toLine puts the cursor to the beginning of a line of the editor.
  const toLine = (line: number) => {
    const at = yaml.split('\n').slice(0, line - 1).reduce((n, l) => n + l.length + 1, 0)
    box.current?.focus()
    box.current?.setSelectionRange(at, at + (yaml.split('\n')[line - 1]?.length ?? 0))
  }
  const marks = faults.filter((f) => f.line).map((f) => ({ line: f.line!, note: f.message }))
  return (
    <div className={blocks.stack}>
      <div className={blocks.field}>
        <label htmlFor="template-description">{t('description')}</label>
        <Input id="template-description" value={description} maxLength={2000} readOnly={!may} onChange={(e) => setDescription(e.target.value)} />
      </div>
      <div className={blocks.field}>
        <label htmlFor="template-yaml">{t('template.yaml')}</label>
        <textarea id="template-yaml" ref={box} className={`ant-input ${css.editor} ${css.area}`} value={yaml} readOnly={!may} spellCheck={false} rows={24} onChange={(e) => setYaml(e.target.value)} aria-invalid={faults.length > 0 && tested === yaml} aria-describedby="template-faults" />
      </div>
      <div id="template-faults" aria-live="polite" className={blocks.stack}>
        {error ? <Problem error={error} title={t('template.refused')} /> : null}
        {faults.some((f) => f.line) && (
          <>
            <ul className={blocks.list}>
              {faults.map((f, i) => (
                <li key={i}>
                  {f.line ? (
                    <Button size="small" type="link" onClick={() => toLine(f.line!)}>
                      {t('template.line', { line: f.line })}
                    </Button>
                  ) : (
                    f.field && <code>{f.field}</code>
                  )}{' '}
                  {f.message}
                </li>
              ))}
            </ul>
            <CodeView label={t('template.tested')} text={tested} marks={marks} height={320} onLine={toLine} />
          </>
        )}
      </div>
      {may && (
        <div className={blocks.row}>
          <Button type="primary" loading={add.isPending || put.isPending} disabled={!yaml.trim()} onClick={save}>
            {t('template.testAndSave')}
          </Button>
          {name && (
            <Popconfirm title={t('template.deleteAsk', { name })} okText={t('delete')} cancelText={t('cancel')} onConfirm={() => remove.mutate({ params: { path: { name } } })}>
              <Button danger disabled={used > 0} loading={remove.isPending} title={used > 0 ? t('template.inUse', { count: used }) : undefined}>
                {t('delete')}
              </Button>
            </Popconfirm>
          )}
          {used > 0 && <span className={blocks.hint}>{t('template.inUse', { count: used })}</span>}
        </div>
      )}
      {remove.error ? <Problem error={remove.error} /> : null}
    </div>
  )
}

// nameOf reads metadata.name of a template; the server reads it again.
function nameOf(yaml: string): string {
  return /^metadata:\s*\n(?:[ \t]+.*\n)*?[ \t]+name:[ \t]*["']?([a-z0-9.-]+)/m.exec(yaml)?.[1] ?? ''
}
