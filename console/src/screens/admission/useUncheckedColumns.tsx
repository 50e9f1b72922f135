import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import type { Schemas } from '../../api/client'
import type { Column } from '../../parts/DataTable'
import { Verdict } from '../../parts/Verdict'
import { When } from '../../parts/When'
import { dateTime, duration, missing, useFormat } from '../../text/format'

export type Entry = Schemas['UncheckedAdmission']

const looks = { found: 'unknown', good: 'ok', bad: 'bad', gone: 'ended' } as const

// useUncheckedColumns are the columns of the list of unchecked admissions.
export function useUncheckedColumns(): Column<Entry>[] {
  const { t } = useTranslation('admission')
  const { number } = useFormat()
  const name = (e: Entry) => [e.kind, [e.namespace, e.name].filter(Boolean).join('/')].filter(Boolean).join(' ')
  return [
    {
      key: 'verdict',
      title: t('unchecked.verdict'),
      width: 165,
      render: (e) =>
        e.state === 'bad' ? (
          <Link to="/protection/events" search={{ kind: 'unchecked', target: e.targetId, ...(e.namespace ? { namespace: e.namespace } : {}), ...(e.ownerName ? { owner: e.ownerName } : {}), state: 'all' }}>
            <Verdict state="bad" word={t('checked.bad')} />
          </Link>
        ) : (
          <Verdict state={looks[e.state]} word={t(`checked.${e.state}`)} why={e.note} />
        ),
    },
    { key: 'object', title: t('col.object'), width: 190, render: (e) => <span title={name(e)}>{name(e) || t('unchecked.unknown')}</span> },
    { key: 'owner', title: t('col.owner'), width: 200, hidden: true, render: (e) => [e.ownerKind, e.ownerName].filter(Boolean).join(' ') || '–' },
    { key: 'cluster', title: t('col.cluster'), width: 80, render: (e) => e.cluster },
    { key: 'reason', title: t('unchecked.reason'), width: 220, render: (e) => <span title={e.reasonText}>{e.reasonText}</span> },
    {
      key: 'window',
      title: t('unchecked.window'),
      width: 100,
      render: (e) => (missing(e.from) || missing(e.until) ? '–' : <span title={`${dateTime(e.from!)} – ${dateTime(e.until!)}`}>{t('unchecked.lasted', { time: duration(Math.max(0, Date.parse(e.until!) - Date.parse(e.from!))) })}</span>),
    },
    { key: 'written', title: t('unchecked.written'), width: 105, render: (e) => <When at={e.writtenAt} /> },
    { key: 'found', title: t('unchecked.foundAt'), width: 120, hidden: true, render: (e) => <When at={e.foundAt} /> },
    { key: 'judged', title: t('unchecked.judgedAt'), width: 105, render: (e) => (missing(e.judgedAt) ? t('unchecked.notYet') : <When at={e.judgedAt} />) },
    { key: 'count', title: t('col.count'), width: 60, align: 'right', render: (e) => number(e.count) },
  ]
}
