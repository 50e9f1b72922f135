import { Link } from '@tanstack/react-router'
import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'
import { inWords } from '../policies/preview'

// Names that the API gives to what has no name of its own.
const plain = { 'cluster settings': 'settings', "the nodes' files": 'files', "the node's files": 'files', 'every node': 'everyNode', 'the whole cluster': 'wholeCluster', 'every request': 'everyRequest', 'protection is off': 'off', 'other API versions': 'otherVersions', exceptions: 'exceptions' } as const

// BypassTab lists everything that gets around the protection of a cluster.
export default function BypassTab({ target }: { target: string }) {
  const { t } = useTranslation('protection')
  const { number } = useFormat()
  const query = api.useQuery('get', '/api/v1/protection/{target}/bypasses', { params: { path: { target: Number(target) } } })
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  if (!query.data) return <Skeleton active paragraph={{ rows: 10 }} />
  const { items, gaps, at } = query.data
  const word = (text: string) => (text in plain ? t(`bypass.plain.${plain[text as keyof typeof plain]}`) : undefined)
  return (
    <div className={blocks.stack}>
      <p>
        {t('bypass.hint')} <span className="text-soft">{t('health.readAt')} <When at={at} /></span>
      </p>
      {(gaps ?? []).map((g) => (
        <Alert key={g} type="warning" showIcon title={t('bypass.gap')} description={g} />
      ))}
      <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('tabs.bypasses')}>
        <table className={blocks.table}>
          <thead>
            <tr>
              <th scope="col">{t('bypass.kind')}</th>
              <th scope="col">{t('bypass.what')}</th>
              <th scope="col">{t('bypass.why')}</th>
              <th scope="col">{t('bypass.source')}</th>
              <th scope="col" className={blocks.number}>
                {t('bypass.pods')}
              </th>
            </tr>
          </thead>
          <tbody>
            {(items ?? []).map((b, i) => (
              <tr key={i}>
                <td>{t(`bypass.of.${b.kind}`)}</td>
                <td className={blocks.anywhere}>
                  {word(b.what) ?? <code>{b.what}</code>}
                </td>
                <td>{inWords(b.text)}</td>
                <td>
                  {b.policyId && b.policyId !== '0' ? (
                    <Link to="/protection/policies/$id" params={{ id: b.policyId }}>
                      {b.source}
                    </Link>
                  ) : (
                    (word(b.source) ?? b.source)
                  )}
                </td>
                <td className={blocks.number}>{b.objects < 0 ? <span title={t('bypass.notCounted')}>–</span> : number(b.objects)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  )
}
