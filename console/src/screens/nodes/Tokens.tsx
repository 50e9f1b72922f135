import { useQueryClient } from '@tanstack/react-query'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import { Table } from './Table'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { missing, useFormat } from '../../text/format'

const path = '/api/v1/clusters/{id}/agents/tokens'

// Tokens are those with which agents of a cluster may still enrol, and those of before.
export function Tokens({ id }: { id: string }) {
  const { t } = useTranslation('nodes')
  const { number } = useFormat()
  const client = useQueryClient()
  useLive(['node'], [path]) // one that enrols uses a token
  const query = api.useQuery('get', path, { params: { path: { id: Number(id) } } })
  const revoke = api.useMutation('delete', '/api/v1/clusters/{id}/agents/tokens/{token}', {
    onSuccess: () => void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === path }),
  })
  const list = query.data?.items ?? []
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  if (list.length === 0) return null
  const now = query.dataUpdatedAt
  const good = (k: (typeof list)[number]) => missing(k.revokedAt) && k.used < k.uses && new Date(k.expiresAt).getTime() > now
  return (
    <details>
      <summary className={blocks.summary}>{t('tokens', { count: list.length })}</summary>
      <Table
        label={t('tokensOf')}
        head={[t('tokenNote'), t('madeAt'), t('ends'), t('used'), t('action')]}
        rows={list.map((k) => ({
          key: k.id,
          cells: [
            [k.note, k.createdBy].filter(Boolean).join(' · ') || '–',
            <When key="c" at={k.createdAt} />,
            missing(k.revokedAt) ? <When key="e" at={k.expiresAt} /> : t('revoked'),
            `${number(k.used)} / ${number(k.uses)}`,
            good(k) ? (
              <Button key="r" size="small" danger loading={revoke.isPending} onClick={() => revoke.mutate({ params: { path: { id: Number(id), token: Number(k.id) } } })}>
                {t('revoke')}
              </Button>
            ) : (
              '–'
            ),
          ],
        }))}
      />
      {revoke.error ? <Problem error={revoke.error} /> : null}
    </details>
  )
}
