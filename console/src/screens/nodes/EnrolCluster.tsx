import { LoadingOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { Alert, Button, Input, InputNumber, Skeleton } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Install } from './shapes'
import { Table } from './Table'
import { Tokens } from './Tokens'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import blocks from '../../parts/Blocks.module.css'
import { CodeView } from '../../parts/CodeView'
import { Copy } from '../../parts/Copy'
import { Problem } from '../../parts/Problem'
import { TabBar } from '../../parts/TabBar'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// EnrolCluster shows what agents bring onto the nodes of a cluster, makes a token for them, and counts the nodes as they come.
export function EnrolCluster({ id }: { id: string }) {
  const { t } = useTranslation('nodes')
  const client = useQueryClient()
  const params = { path: { id: Number(id) } }
  const [hours, setHours] = useState(168)
  const [uses, setUses] = useState(1000)
  const [note, setNote] = useState('')
  const shown = api.useQuery('get', '/api/v1/clusters/{id}/agents', { params }, { retry: false })
  const token = api.useMutation('post', '/api/v1/clusters/{id}/agents/tokens', {
    onSuccess: () => void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/clusters/{id}/agents/tokens' }),
  })
  const install = token.data ?? shown.data
  if (shown.error) return <Problem error={shown.error} retry={() => void shown.refetch()} />
  if (!install) return <Skeleton active paragraph={{ rows: 6 }} />
  return (
    <div className={blocks.stack}>
      <details>
        <summary className={blocks.summary}>{t('creates', { count: install.objects.length })}</summary>
        <Table label={t('objects')} head={[t('kind'), t('name'), t('whyNeeded')]} rows={install.objects.map((o) => ({ key: o.kind + o.name, cells: [o.kind, <code key="n">{o.name}</code>, o.why] }))} />
      </details>
      {!token.data && (
        <>
          <div className={blocks.fields}>
            <label htmlFor="token-hours">
              {t('tokenHours')}
              <InputNumber id="token-hours" min={1} max={8760} precision={0} value={hours} onChange={(n) => setHours(n ?? 168)} />
            </label>
            <label htmlFor="token-uses">
              {t('tokenUses')}
              <InputNumber id="token-uses" min={1} max={100_000} precision={0} value={uses} onChange={(n) => setUses(n ?? 1000)} />
            </label>
            <label htmlFor="token-note">
              {t('tokenNote')}
              <Input id="token-note" maxLength={200} value={note} onChange={(e) => setNote(e.target.value)} autoComplete="off" />
            </label>
          </div>
          <div className={blocks.row}>
            <Button type="primary" loading={token.isPending} onClick={() => token.mutate({ params, body: { hours, uses, note: note.trim() || undefined } })}>
              {t('makeToken')}
            </Button>
            <span className={blocks.hint}>{t('makeTokenHint')}</span>
          </div>
        </>
      )}
      {token.error ? <Problem error={token.error} /> : null}
      {token.data && <Installing id={id} install={token.data} />}
      <Tokens id={id} />
    </div>
  )
}

// Installing are the ways to bring the agents, and how many came.
function Installing({ id, install }: { id: string; install: Install }) {
  const { t } = useTranslation('nodes')
  const { number } = useFormat()
  const [way, setWay] = useState('manifest')
  useLive(['node'], ['/api/v1/nodes/counts'])
  const counts = api.useQuery('get', '/api/v1/nodes/counts', { params: { query: { target: [Number(id)] } } }, { refetchInterval: 10_000 })
  const c = counts.data
  const lives = c ? c.protected + c.paused + c.degraded : 0
  const all = c ? lives + c.away + c.never : 0
  return (
    <>
      <Alert
        type="warning"
        showIcon
        title={t('tokenOnce')}
        description={
          <>
            {t('tokenEnds')} <When at={install.about?.expiresAt} /> · {t('usesOf', { count: install.about?.uses ?? 0, number: number(install.about?.uses ?? 0) })}
          </>
        }
      />
      <TabBar
        label={t('waysToInstall')}
        active={way}
        onChange={setWay}
        tabs={[
          { key: 'manifest', label: t('manifest'), children: <Snippet text={install.manifest} label={t('manifest')} hint={t('manifestHint')} /> },
          { key: 'helm', label: t('helm'), children: <Snippet text={install.values} label={t('helm')} hint={t('helmHint')} /> },
          { key: 'host', label: t('outside'), children: <Snippet text={install.command} label={t('outside')} hint={t('outsideHint')} /> },
        ]}
      />
      <p role="status" className={blocks.row}>
        {lives < all || all === 0 ? <LoadingOutlined aria-hidden /> : null}
        {t('enrolled', { some: number(lives), all: number(all) })}
      </p>
    </>
  )
}

function Snippet({ text, label, hint }: { text: string; label: string; hint: string }) {
  const { t } = useTranslation('nodes')
  return (
    <div className={blocks.stack}>
      <div className={blocks.between}>
        <span>{hint}</span>
        <Copy text={text} label={t('copy')} />
      </div>
      <CodeView label={label} text={text} height={260} />
    </div>
  )
}
