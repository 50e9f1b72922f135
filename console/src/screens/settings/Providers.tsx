import { PlusOutlined } from '@ant-design/icons'
import { Button, Popconfirm, Skeleton, Tag } from 'antd'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { ProviderForm } from './ProviderForm'
import css from './Settings.module.css'
import { api, type Schemas } from '../../api/client'
import { Copy } from '../../parts/Copy'
import { EmptyState } from '../../parts/EmptyState'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'

type Provider = Schemas['Provider']

// Providers are the OpenID Connect providers that people sign in through.
export default function Providers() {
  const { t } = useTranslation('settings')
  const [open, setOpen] = useState<Provider | 'new' | null>(null)
  const query = api.useQuery('get', '/api/v1/providers')
  const list = query.data?.items ?? []
  const add = (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => setOpen('new')}>
      {t('providers.add')}
    </Button>
  )
  return (
    <>
      <Panel title={t('providers.callback')}>
        <p className="text-soft">{t('providers.callbackHint')}</p>
        <div className={css.row}>
          <code className={css.once}>{`${location.origin}/api/v1/session/oidc/callback`}</code>
          <Copy text={`${location.origin}/api/v1/session/oidc/callback`} />
        </div>
      </Panel>
      <Panel title={t('providers.title')} extra={add}>
        {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : null}
        {query.isPending && <Skeleton active />}
        {query.data && list.length === 0 && <EmptyState title={t('providers.none')} hint={t('providers.noneHint')} />}
        <div className={css.stack}>
          {list.map((p) => (
            <One key={p.id} provider={p} onEdit={() => setOpen(p)} />
          ))}
        </div>
      </Panel>
      <ProviderForm provider={open} onClose={() => setOpen(null)} />
    </>
  )
}

function One({ provider: p, onEdit }: { provider: Provider; onEdit: () => void }) {
  const { t } = useTranslation('settings')
  const client = useQueryClient()
  const remove = api.useMutation('delete', '/api/v1/providers/{id}', { onSuccess: () => void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/providers' }) })
  return (
    <section aria-label={p.name} className={css.stack}>
      <div className={css.row}>
        <strong>{p.name}</strong>
        {p.disabled && <Tag>{t('providers.disabled')}</Tag>}
        <Button size="small" onClick={onEdit} aria-label={t('providers.editOne', { name: p.name })}>
          {t('edit')}
        </Button>
        <Popconfirm title={t('providers.removeAsk', { name: p.name })} okText={t('remove')} cancelText={t('cancel')} onConfirm={() => remove.mutate({ params: { path: { id: Number(p.id) } } })}>
          <Button size="small" danger aria-label={t('providers.removeOne', { name: p.name })}>
            {t('remove')}
          </Button>
        </Popconfirm>
      </div>
      {remove.error && <Problem error={remove.error} />}
      <dl className={css.facts}>
        <dt>{t('providers.issuer')}</dt>
        <dd>{p.issuer}</dd>
        <dt>{t('providers.client')}</dt>
        <dd>{p.clientId}</dd>
        <dt>{t('providers.groups')}</dt>
        <dd>{p.groupsClaim || '–'}</dd>
        <dt>{t('providers.mappings')}</dt>
        <dd>{t('providers.mappingCount', { count: (p.mappings ?? []).length })}</dd>
        <dt>{t('providers.redirect')}</dt>
        <dd>
          <code className={css.once}>{p.redirectUrl}</code> <Copy text={p.redirectUrl} />
        </dd>
      </dl>
    </section>
  )
}
