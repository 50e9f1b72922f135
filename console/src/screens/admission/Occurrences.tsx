import { Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Schemas } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { When } from '../../parts/When'

type Props = { list: Schemas['AdmissionOccurrence'][] | null; shown?: string; show: (id: string | undefined) => void }

const few = 5

// Occurrences are the single requests of an event, the latest first; the object of each can be looked at when it was kept.
export function Occurrences({ list, shown, show }: Props) {
  const { t } = useTranslation('admission')
  const [all, setAll] = useState(false)
  const rows = all ? (list ?? []) : (list ?? []).slice(0, few)
  if (rows.length === 0) return <p className={blocks.hint}>{t('noOccurrences')}</p>
  return (
    <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('occurrences')}>
      <table className={blocks.table}>
        <thead>
          <tr>
            <th scope="col">{t('col.at')}</th>
            <th scope="col">{t('col.object')}</th>
            <th scope="col">{t('col.request')}</th>
            <th scope="col">{t('col.user')}</th>
            <th scope="col">{t('object')}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((o, i) => (
            <tr key={o.id}>
              <td>
                <When at={o.at} />
              </td>
              <td>
                {o.kind} {o.name}
              </td>
              <td>{[o.operation, o.subResource].filter(Boolean).join(' ') || '–'}</td>
              <td title={(o.groups ?? []).join(', ')}>{o.user || '–'}</td>
              <td>
                {o.recorded ? (
                  <Button size="small" aria-pressed={shown ? shown === o.id : i === 0} onClick={() => show(i === 0 ? undefined : o.id)}>
                    {t('show')}
                  </Button>
                ) : (
                  t('notKept')
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {(list?.length ?? 0) > few && !all && (
        <Button size="small" onClick={() => setAll(true)}>
          {t('moreOccurrences', { count: list!.length - few })}
        </Button>
      )}
    </div>
  )
}
