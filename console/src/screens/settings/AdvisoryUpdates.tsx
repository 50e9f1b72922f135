import { useTranslation } from 'react-i18next'

import type { Data } from './Advisories'
import css from './Settings.module.css'
import { Panel } from '../../parts/Page'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// AdvisoryUpdates lists what became of the last databases that were brought.
export function AdvisoryUpdates({ data }: { data: Data }) {
  const { t } = useTranslation('settings')
  const { dateTime } = useFormat()
  const list = data.updates ?? []
  return (
    <Panel title={t('updates.title')}>
      {list.length === 0 ? (
        <p className="text-soft">{t('updates.none')}</p>
      ) : (
        <div className={css.scroll} tabIndex={0} role="group" aria-label={t('updates.title')}>
          <table className={css.table}>
            <thead>
              <tr>
                {(['at', 'how', 'result', 'built', 'actor', 'replica'] as const).map((c) => (
                  <th key={c} scope="col">
                    {t(`updates.column.${c}`)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {list.map((u) => (
                <tr key={u.id}>
                  <td>
                    <When at={u.at} />
                  </td>
                  <td>
                    {t(`updates.how.${u.how}`)}
                    {u.source && <div className="text-soft">{u.source}</div>}
                  </td>
                  <td>
                    <Verdict state={u.result === 'failed' ? 'bad' : 'ok'} word={t(`updates.result.${u.result}`)} />
                    {u.error && <div>{u.error}</div>}
                  </td>
                  <td>{u.builtAt ? dateTime(u.builtAt) : '–'}</td>
                  <td>{u.actor}</td>
                  <td>{u.replica}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}
