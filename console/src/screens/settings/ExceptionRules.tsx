import { App, Button, Checkbox, Form, InputNumber, Skeleton } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'

import css from './Settings.module.css'
import { api, type Schemas } from '../../api/client'
import { useMay } from '../../app/session'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'

type Rules = Schemas['Settings']

// ExceptionRules are the house's rules about exceptions. Who may not change them sees them.
export default function ExceptionRules() {
  const { t } = useTranslation('settings')
  const query = api.useQuery('get', '/api/v1/exceptions/settings')
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  return <Panel title={t('exceptions.title')}>{query.data ? <Body rules={query.data} /> : <Skeleton active />}</Panel>
}

function Body({ rules }: { rules: Rules }) {
  const { t } = useTranslation('settings')
  const { message } = App.useApp()
  const may = useMay('manage-settings')
  const client = useQueryClient()
  const save = api.useMutation('put', '/api/v1/exceptions/settings', {
    onSuccess: () => {
      void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/exceptions/settings' })
      void message.success(t('saved'))
    },
  })
  const numbers = [
    ['maxDays', 1, 3650],
    ['unusedDays', 1, 3650],
    ['remindDays', 0, 365],
  ] as const
  const words = ['allowUnlimited', 'selfApproval', 'approveVEX'] as const
  return (
    <Form<Rules> className={css.form} layout="vertical" disabled={!may} initialValues={rules} onFinish={(body) => save.mutate({ body })}>
      {numbers.map(([key, min, max]) => (
        <Form.Item key={key} name={key} label={t(`exceptions.${key}`)} extra={t(`exceptions.hint.${key}`)} rules={[{ required: true, message: t('required') }]}>
          <InputNumber min={min} max={max} precision={0} />
        </Form.Item>
      ))}
      {words.map((key) => (
        <Form.Item key={key} name={key} valuePropName="checked" extra={t(`exceptions.hint.${key}`)}>
          <Checkbox>{t(`exceptions.${key}`)}</Checkbox>
        </Form.Item>
      ))}
      {save.error && <Problem error={save.error} />}
      {may && (
        <Button type="primary" htmlType="submit" loading={save.isPending}>
          {t('save')}
        </Button>
      )}
    </Form>
  )
}
