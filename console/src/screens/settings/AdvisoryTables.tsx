import { Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Data } from './Advisories'
import css from './Settings.module.css'
import { Choice } from '../../parts/Choice'
import { Panel } from '../../parts/Page'
import { listOf, useUrl } from '../../parts/search'
import { Verdict } from '../../parts/Verdict'
import { useFormat } from '../../text/format'

const states = ['ok', 'warn', 'bad', 'ended', 'none', 'unknown'] as const

// AdvisoryStreams lists systems and ecosystems with the age of what is known of each. Those without data are told first.
export function AdvisoryStreams({ data }: { data: Data }) {
  const { t } = useTranslation('settings')
  const { number, date } = useFormat()
  const [url, set] = useUrl()
  const [q, setQ] = useState('')
  const wanted = listOf(url.data)
  const all = data.streams ?? []
  const none = all.filter((s) => s.state === 'none')
  const rows = all.filter((s) => (wanted.length === 0 || wanted.includes(s.state)) && `${s.os} ${s.release ?? ''}`.toLowerCase().includes(q.toLowerCase()))
  return (
    <Panel
      title={t('streams.title')}
      extra={
        <>
          <Choice label={t('streams.state')} value={wanted} options={states.map((s) => ({ value: s, label: t(`age.${s}`) }))} onChange={(list) => set({ data: list }, true)} />
          <Input allowClear type="search" aria-label={t('streams.search')} placeholder={t('streams.search')} value={q} onChange={(e) => setQ(e.target.value)} style={{ width: 200 }} />
        </>
      }
    >
      {none.length > 0 && <p className={css.warn}>{t('streams.without', { count: none.length, number: number(none.length) })}</p>}
      <div className={css.scroll} style={{ maxHeight: 420 }} tabIndex={0} role="group" aria-label={t('streams.title')}>
        <table className={css.table}>
          <thead>
            <tr>
              {(['system', 'state', 'date', 'rows', 'end', 'feeds'] as const).map((c) => (
                <th key={c} scope="col">
                  {t(`streams.column.${c}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((s) => (
              <tr key={`${s.os} ${s.release ?? ''}`}>
                <td>
                  {s.os} {s.release}
                </td>
                <td>
                  <Verdict state={s.state} word={t(`age.${s.state}`)} />
                </td>
                <td>{s.date ? `${date(s.date)} (${t('days', { count: s.ageDays, number: number(s.ageDays) })})` : '–'}</td>
                <td>{number(s.rows)}</td>
                <td>{s.endOfLife ? date(s.endOfLife) : '–'}</td>
                <td>{(s.feeds ?? []).join(' · ') || '–'}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {rows.length === 0 && <p className="text-soft">{t('streams.empty')}</p>}
      </div>
    </Panel>
  )
}

// AdvisoryFeeds lists what each publisher gave.
export function AdvisoryFeeds({ data }: { data: Data }) {
  const { t } = useTranslation('settings')
  const { number, date } = useFormat()
  return (
    <Panel title={t('feeds.title')}>
      <div className={css.scroll} style={{ maxHeight: 420 }} tabIndex={0} role="group" aria-label={t('feeds.title')}>
        <table className={css.table}>
          <thead>
            <tr>
              {(['name', 'state', 'date', 'records', 'rows', 'refused'] as const).map((c) => (
                <th key={c} scope="col">
                  {t(`feeds.column.${c}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {(data.feeds ?? []).map((f) => (
              <tr key={f.name}>
                <td>{f.name}</td>
                <td>
                  <Verdict state={f.state} word={t(`age.${f.state}`)} />
                </td>
                <td>{f.date ? `${date(f.date)} (${t('days', { count: f.ageDays, number: number(f.ageDays) })})` : '–'}</td>
                <td>{number(f.records)}</td>
                <td>{number(f.rows)}</td>
                <td>
                  {f.refused > 0 ? (
                    <details>
                      <summary className={css.warn}>{number(f.refused)}</summary>
                      {Object.entries(f.reasons ?? {}).map(([why, n]) => (
                        <div key={why}>
                          {number(n)} × {why}
                        </div>
                      ))}
                    </details>
                  ) : (
                    number(0)
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {(data.feeds ?? []).length === 0 && <p className="text-soft">{t('feeds.empty')}</p>}
      </div>
    </Panel>
  )
}
