import { useTranslation } from 'react-i18next'

import type { Health } from './shapes'
import blocks from '../../parts/Blocks.module.css'
import { Verdict } from '../../parts/Verdict'
import { useFormat } from '../../text/format'

// Webhooks are the webhooks as they are registered in the cluster.
export function Webhooks({ list }: { list: Health['webhooks'] }) {
  const { t } = useTranslation('protection')
  const { duration } = useFormat()
  if (!list || list.length === 0) return <p className={blocks.bad}>{t('webhook.none')}</p>
  return (
    <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('health.webhooks')}>
      <table className={blocks.table}>
        <thead>
          <tr>
            <th scope="col">{t('webhook.name')}</th>
            <th scope="col">{t('webhook.failure')}</th>
            <th scope="col">{t('webhook.timeout')}</th>
            <th scope="col">{t('webhook.sees')}</th>
            <th scope="col">{t('webhook.skips')}</th>
            <th scope="col">{t('webhook.trusted')}</th>
          </tr>
        </thead>
        <tbody>
          {list.map((w) => (
            <tr key={`${w.configuration}/${w.name}`}>
              <td className={blocks.anywhere}>
                {w.name}
                <div className={blocks.hint}>{w.configuration}</div>
              </td>
              <td>{w.failurePolicy === 'Fail' ? t('webhook.fail') : t('webhook.ignore')}</td>
              <td>{duration(w.timeoutSeconds * 1000)}</td>
              <td className={blocks.anywhere}>
                {(w.operations ?? []).join(', ')}
                <div className={blocks.hint}>{(w.resources ?? []).join(', ')}</div>
              </td>
              <td className={blocks.anywhere}>{[...(w.skippedNamespaces ?? []), ...(w.skipLabels ?? []), ...(w.namespaceSelector ? [w.namespaceSelector] : [])].join(', ') || '–'}</td>
              <td>
                <Verdict state={w.trusted ? 'ok' : 'bad'} word={w.trusted ? t('yes') : t('no')} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
