import { Checkbox, Form, Select } from 'antd'
import { useTranslation } from 'react-i18next'

import { topics } from './channel'
import { api } from '../../api/client'

const severities = ['critical', 'high', 'medium', 'low', 'info'] as const

// ChannelFilter says which messages a channel gets.
export function ChannelFilter() {
  const { t } = useTranslation(['integrations', 'words'])
  const clusters = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 500 } } })
  const key = { 'findings.changed': 'findings', 'cluster.state': 'cluster', 'task.finished': 'task', 'exception.asked': 'asked', 'exception.decided': 'decided', 'exception.expiring': 'expiring', 'exception.ended': 'ended', 'protection.state': 'protection', 'protection.drift': 'drift', 'protection.blocked': 'blocked', 'protection.unchecked': 'unchecked', 'protection.turned': 'turned', 'policy.changed': 'policy', 'nodes.state': 'nodes' } as const
  return (
    <>
      <Form.Item name="topics" label={t('integrations:filter.topics')}>
        <Select mode="multiple" allowClear placeholder={t('integrations:filter.allTopics')} options={topics.map((p) => ({ value: p, label: t(`integrations:topic.${key[p]}`) }))} />
      </Form.Item>
      <Form.Item name="severities" label={t('integrations:filter.severities')}>
        <Select mode="multiple" allowClear placeholder={t('integrations:filter.allSeverities')} options={severities.map((s) => ({ value: s, label: t(`words:severity.${s}`) }))} />
      </Form.Item>
      <Form.Item name="targets" label={t('integrations:filter.targets')}>
        <Select mode="multiple" allowClear placeholder={t('integrations:filter.allTargets')} options={(clusters.data?.items ?? []).map((c) => ({ value: c.id, label: c.name }))} showSearch={{ optionFilterProp: 'label' }} />
      </Form.Item>
      <Form.Item name="fresh" valuePropName="checked" noStyle>
        <Checkbox>{t('integrations:filter.fresh')}</Checkbox>
      </Form.Item>
      <Form.Item name="kev" valuePropName="checked">
        <Checkbox>{t('integrations:filter.kev')}</Checkbox>
      </Form.Item>
    </>
  )
}
