import { useQueryClient } from '@tanstack/react-query'
import { App, Button } from 'antd'
import { useTranslation } from 'react-i18next'

import type { Status } from './shapes'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { EmptyState } from '../../parts/EmptyState'
import { Problem } from '../../parts/Problem'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'

// DriftTab is what somebody changed behind the server's back, and whether it was put back.
export default function DriftTab({ status: s, may }: { status: Status; may: boolean }) {
  const { t } = useTranslation('protection')
  const client = useQueryClient()
  const { notification } = App.useApp()
  const repair = api.useMutation('post', '/api/v1/protection/{target}/repair', {
    onSuccess: () => {
      notification.success({ title: t('repaired'), role: 'status' })
      void client.invalidateQueries({ predicate: (q) => q.queryKey[0] === 'get' && String(q.queryKey[1]).startsWith('/api/v1/protection') })
    },
  })
  const list = s.driftList ?? []
  return (
    <div className={blocks.stack}>
      <div className={blocks.between}>
        <p>{t('driftHint')}</p>
        {may && (
          <Button loading={repair.isPending} onClick={() => repair.mutate({ params: { path: { target: Number(s.id) } } })}>
            {t('repair')}
          </Button>
        )}
      </div>
      {repair.error ? <Problem error={repair.error} /> : null}
      {list.length === 0 ? (
        <EmptyState title={t('noDrift')} />
      ) : (
        <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('tabs.drift')}>
          <table className={blocks.table}>
            <thead>
              <tr>
                <th scope="col">{t('drift.at')}</th>
                <th scope="col">{t('drift.object')}</th>
                <th scope="col">{t('drift.change')}</th>
                <th scope="col">{t('drift.actor')}</th>
                <th scope="col">{t('drift.state')}</th>
              </tr>
            </thead>
            <tbody>
              {list.map((d) => (
                <tr key={d.id}>
                  <td>
                    <When at={d.at} />
                  </td>
                  <td className={blocks.anywhere}>
                    <code>{d.object}</code>
                  </td>
                  <td className={blocks.anywhere}>{d.change}</td>
                  <td>{d.actor || '–'}</td>
                  <td>
                    <Verdict state={d.repaired ? 'ok' : 'bad'} word={d.repaired ? t('drift.repaired') : t('drift.open')} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  )
}
