import { Checkbox, Form, Input, InputNumber, Select } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import type { Kind } from './channel'

// ChannelPlace are the fields of a kind: where messages go, and how.
export function ChannelPlace({ kind, secrets }: { kind: Kind; secrets: string[] }) {
  switch (kind) {
    case 'mail':
      return <Mail secrets={secrets} />
    case 'syslog':
    case 'cef':
      return <Syslog />
    case 'slack':
      return <Slack secrets={secrets} />
    default:
      return <Web kind={kind} secrets={secrets} />
  }
}

function useWanted() {
  const { t } = useTranslation('integrations')
  return [{ required: true, message: t('required') }]
}

// Secret is a field whose value is never shown again.
function Secret({ name, label, kept, needed = false }: { name: string; label: string; kept: boolean; needed?: boolean }) {
  const { t } = useTranslation('integrations')
  return (
    <Form.Item name={name} label={label} extra={kept ? t('secretKept') : undefined} rules={[{ required: needed && !kept, message: t('required') }]}>
      <Input.Password autoComplete="new-password" maxLength={4000} />
    </Form.Item>
  )
}

function Authority(): ReactNode {
  const { t } = useTranslation('integrations')
  return (
    <Form.Item name="ca" label={t('channel.ca')} extra={t('channel.caHint')}>
      <Input.TextArea autoSize={{ minRows: 2, maxRows: 6 }} spellCheck={false} />
    </Form.Item>
  )
}

function Slack({ secrets }: { secrets: string[] }) {
  const { t } = useTranslation('integrations')
  return (
    <>
      <Secret name="url" label={t('channel.slackUrl')} kept={secrets.includes('url')} needed />
      <Authority />
    </>
  )
}

function Web({ kind, secrets }: { kind: Kind; secrets: string[] }) {
  const { t } = useTranslation('integrations')
  const wanted = useWanted()
  return (
    <>
      <Form.Item name="url" label={t('channel.url')} rules={[{ required: true, type: 'url', message: t('channel.urlHint') }]}>
        <Input maxLength={2048} placeholder="https://hooks.example.com/stockade" />
      </Form.Item>
      {kind === 'template' && (
        <>
          <Form.Item name="method" label={t('channel.method')}>
            <Select options={['POST', 'PUT'].map((m) => ({ value: m, label: m }))} />
          </Form.Item>
          <Form.Item name="template" label={t('channel.template')} extra={t('channel.templateHint')} rules={wanted}>
            <Input.TextArea autoSize={{ minRows: 4, maxRows: 16 }} spellCheck={false} />
          </Form.Item>
          <Form.Item name="contentType" label={t('channel.contentType')}>
            <Select options={['application/json', 'text/plain'].map((m) => ({ value: m, label: m }))} />
          </Form.Item>
        </>
      )}
      <Form.Item name="headers" label={t('channel.headers')} extra={t('channel.headersHint')}>
        <Input.TextArea autoSize={{ minRows: 2, maxRows: 8 }} spellCheck={false} placeholder="X-Team: platform" />
      </Form.Item>
      <Secret name="authorization" label={t('channel.authorization')} kept={secrets.includes('authorization')} />
      <Secret name="signingKey" label={t('channel.signingKey')} kept={secrets.includes('signingKey')} />
      <Authority />
      <Form.Item name="plainHttp" valuePropName="checked">
        <Checkbox>{t('channel.plainHttp')}</Checkbox>
      </Form.Item>
    </>
  )
}

function Mail({ secrets }: { secrets: string[] }) {
  const { t } = useTranslation('integrations')
  const wanted = useWanted()
  return (
    <>
      <Form.Item name="host" label={t('channel.host')} rules={wanted}>
        <Input maxLength={253} placeholder="mail.example.com" />
      </Form.Item>
      <Form.Item name="port" label={t('channel.port')} extra={t('channel.portHint')}>
        <InputNumber min={1} max={65535} precision={0} />
      </Form.Item>
      <Form.Item name="security" label={t('channel.security')}>
        <Select options={(['starttls', 'tls', 'none'] as const).map((s) => ({ value: s, label: t(`security.${s}`) }))} />
      </Form.Item>
      <Form.Item name="user" label={t('channel.user')}>
        <Input maxLength={254} autoComplete="off" />
      </Form.Item>
      <Secret name="password" label={t('channel.password')} kept={secrets.includes('password')} />
      <Form.Item name="from" label={t('channel.from')} rules={wanted}>
        <Input maxLength={254} placeholder="stockade@example.com" />
      </Form.Item>
      <Form.Item name="to" label={t('channel.to')} extra={t('channel.toHint')} rules={wanted}>
        <Select mode="tags" tokenSeparators={[',', ';', ' ']} open={false} suffixIcon={null} />
      </Form.Item>
      <Authority />
    </>
  )
}

function Syslog() {
  const { t } = useTranslation('integrations')
  return (
    <>
      <Form.Item name="address" label={t('channel.address')} rules={useWanted()}>
        <Input maxLength={300} placeholder="siem.example.com:6514" />
      </Form.Item>
      <Form.Item name="protocol" label={t('channel.protocol')}>
        <Select options={(['tls', 'tcp', 'udp'] as const).map((p) => ({ value: p, label: t(`protocol.${p}`) }))} />
      </Form.Item>
      <Form.Item name="hostname" label={t('channel.hostname')}>
        <Input maxLength={253} />
      </Form.Item>
      <Authority />
    </>
  )
}
