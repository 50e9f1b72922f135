import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import type { Full } from './shapes'
import { safe, sumsOf, verdicts } from './verdicts'
import blocks from '../../parts/Blocks.module.css'
import { Facts } from '../../parts/Facts'
import { Panel } from '../../parts/Page'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

const places = ['node', 'image', 'cluster'] as const

// About is what an emergency is, how it stands with it here, and what to do.
export function About({ emergency: e }: { emergency: Full }) {
  const { t } = useTranslation('emergencies')
  const { date } = useFormat()
  return (
    <div className={blocks.stack}>
      <Counts emergency={e} />
      <div className={blocks.two}>
        <Panel title={t('what')}>
          <p style={{ whiteSpace: 'pre-line' }}>{e.what}</p>
          <Facts
            items={[
              !!e.published && [t('published'), date(e.published)],
              e.aliases.length > 0 && [t('aliases'), e.aliases.join(', ')],
              [t('where'), e.where.map((w) => place(t, w)).join(', ')],
              [t('lastScan'), e.lastScan?.taskId ? <Link key="l" to="/tasks/$id" params={{ id: e.lastScan.taskId }}><When at={e.lastScan.at} /></Link> : <When key="w" at={e.lastScan?.at} />],
            ]}
          />
        </Panel>
        <Panel title={t('fix')}>
          <p style={{ whiteSpace: 'pre-line' }}>{e.fix}</p>
          {e.configuration && <p className="text-soft">{t('configuration')}</p>}
          <List title={t('affected')} items={e.affected} />
          <List title={t('fixed')} items={e.fixed} />
        </Panel>
        {e.traps && (
          <Panel title={t('traps')}>
            <p style={{ whiteSpace: 'pre-line' }}>{e.traps}</p>
          </Panel>
        )}
        <Panel title={t('sources')}>
          <ul className={blocks.list}>
            {e.sources.map((s) => (
              <li key={s.name + s.url}>
                {safe(s.url) ? (
                  <a href={safe(s.url)} target="_blank" rel="noreferrer noopener">
                    {s.name}
                  </a>
                ) : (
                  s.name
                )}
              </li>
            ))}
          </ul>
        </Panel>
      </div>
    </div>
  )
}

type T = ReturnType<typeof useTranslation<'emergencies'>>['t']

function place(t: T, word: string): string {
  const known = places.find((p) => p === word)
  return known ? t(`kindOne.${known}`) : word
}

function List({ title, items }: { title: string; items: string[] }) {
  if (items.length === 0) return null
  return (
    <>
      <h3>{title}</h3>
      <ul className={blocks.list}>
        {items.map((x) => (
          <li key={x}>
            <code>{x}</code>
          </li>
        ))}
      </ul>
    </>
  )
}

// Counts are the verdicts on nodes, images and clusters; each number is a link to what it counts.
function Counts({ emergency: e }: { emergency: Full }) {
  const { t } = useTranslation('emergencies')
  const { number } = useFormat()
  const rows = places.filter((k) => e.counts[k])
  return (
    <Panel title={t('seenHere')}>
      <div className={blocks.scroll} tabIndex={0} role="region" aria-label={t('seenHere')}>
        <table className={blocks.table}>
          <thead>
            <tr>
              <th scope="col">{t('kindOf')}</th>
              {verdicts.map((v) => (
                <th key={v} scope="col" title={t(`verdictHint.${v}`)}>
                  {t(`verdict.${v}`)}
                </th>
              ))}
              <th scope="col">{t('notLooked')}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((k) => {
              const s = sumsOf(e.counts, k)
              const cell = (n: number, label: string, search: Record<string, string>) =>
                n === 0 ? (s.looked === 0 && search.verdict ? '–' : '0') : (
                  <Link to="/emergencies/$id" params={{ id: e.id }} search={(old: Record<string, string | undefined>) => ({ ...old, ...search })} aria-label={`${label}: ${number(n)}`}>
                    {number(n)}
                  </Link>
                )
              return (
                <tr key={k}>
                  <th scope="row">{t(`kind.${k}`)}</th>
                  {verdicts.map((v) => (
                    <td key={v}>{cell(s[v], `${t(`kind.${k}`)}, ${t(`verdict.${v}`)}`, { tab: 'results', kind: k, verdict: v })}</td>
                  ))}
                  <td>{cell(s.notLooked, `${t(`kind.${k}`)}, ${t('notLooked')}`, { tab: 'not-looked', kind: k })}</td>
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
      {sumsOf(e.counts).notLooked > 0 && <p className={blocks.warn}>{t('incomplete')}</p>}
    </Panel>
  )
}
