import { App, Button, Form, Input, Select, Skeleton } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { path, type Data } from './Advisories'
import css from './Settings.module.css'
import { api, type Schemas } from '../../api/client'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'
import { missing, useFormat } from '../../text/format'

type Source = Schemas['AdvisorySource']
type Fields = { reference: string; everyHours: number }

const rhythms = [0, 1, 6, 12, 24, 168]

// AdvisorySource says where databases are pulled from, and when.
export function AdvisorySource({ data }: { data: Data }) {
  const { t } = useTranslation('settings')
  const query = api.useQuery('get', '/api/v1/advisories/source')
  return (
    <Panel title={t('source.title')}>
      {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : null}
      {query.isPending && <Skeleton active />}
      {query.data && <Body source={query.data} data={data} />}
    </Panel>
  )
}

function Body({ source, data }: { source: Source; data: Data }) {
  const { t } = useTranslation('settings')
  const { message } = App.useApp()
  const { duration } = useFormat()
  const client = useQueryClient()
  const [form] = Form.useForm<Fields>()
  const again = () => void client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith(path) })
  const save = api.useMutation('put', '/api/v1/advisories/source', {
    onSuccess: () => {
      again()
      void message.success(t('saved'))
    },
  })
  const pull = api.useMutation('post', '/api/v1/advisories/pull', { onSuccess: again })
  const hours = [...new Set([...rhythms, source.everyHours])].sort((a, b) => a - b)
  return (
    <Form<Fields> form={form} className={css.form} layout="vertical" initialValues={{ reference: source.reference, everyHours: source.everyHours }} onFinish={(body) => save.mutate({ body: { ...body, reference: body.reference.trim() } })}>
      <Form.Item name="reference" label={t('source.reference')} extra={t('source.referenceHint')}>
        <Input maxLength={500} placeholder="registry.example.com/security/stockade-db:latest" />
      </Form.Item>
      <Form.Item name="everyHours" label={t('source.every')}>
        <Select options={hours.map((h) => ({ value: h, label: h === 0 ? t('source.never') : t('source.hours', { time: duration(h * 3_600_000) }) }))} />
      </Form.Item>
      <dl className={css.facts}>
        <dt>{t('source.registry')}</dt>
        <dd>
          {source.registry ? (
            <Link to="/integrations/$section" params={{ section: 'registries' }} search={{ registry: source.registry.id }}>
              {source.registry.name}
            </Link>
          ) : (
            <>
              {t('source.noRegistry')}{' '}
              <Link to="/integrations/$section" params={{ section: 'registries' }}>
                {t('source.addRegistry')}
              </Link>
            </>
          )}
        </dd>
        <dt>{t('source.next')}</dt>
        <dd>
          {missing(source.nextAt) ? t('source.never') : <When at={source.nextAt} />}
        </dd>
        <dt>{t('source.last')}</dt>
        <dd>
          {source.last ? (
            <>
              <When at={source.last.at} /> <Verdict state={source.last.result === 'failed' ? 'bad' : 'ok'} word={t(`updates.result.${source.last.result}`)} />
              {source.last.error && <div>{source.last.error}</div>}
            </>
          ) : (
            t('source.notYet')
          )}
        </dd>
      </dl>
      {save.error && <Problem error={save.error} />}
      {pull.error && <Problem error={pull.error} />}
      <div className={css.row} style={{ marginTop: 12 }}>
        <Button type="primary" htmlType="submit" loading={save.isPending}>
          {t('save')}
        </Button>
        <Button disabled={!data.folder.writable || Boolean(data.busy)} loading={pull.isPending} onClick={() => pull.mutate({ body: { reference: (form.getFieldValue('reference') as string).trim() || undefined } })}>
          {t('source.pull')}
        </Button>
      </div>
    </Form>
  )
}
