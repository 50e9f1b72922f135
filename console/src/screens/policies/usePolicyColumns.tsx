import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { ActionTag } from './ActionTag'
import { sharpestOf } from './draft'
import { at } from './rollout'
import { scopeWords } from './scopeWords'
import type { Kept } from './shapes'
import { useClusters } from './useClusters'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import type { Column } from '../../parts/DataTable'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// nextStep is the day on which a policy gets sharper next.
function nextStep(p: Kept, now = Date.now()): string | undefined {
  return [p.rollout?.warnFrom, p.rollout?.blockFrom].filter((d): d is string => !!d && Date.parse(d) > now).sort()[0]
}

// usePolicyColumns are the columns of the list of policies. What hits now comes from the events.
export function usePolicyColumns(): Column<Kept>[] {
  const { t } = useTranslation('policies')
  const { number, list, date } = useFormat()
  const clusters = useClusters()
  const summary = api.useQuery('get', '/api/v1/admission-events/summary', { params: { query: {} } }, { staleTime: 30_000, retry: false })
  const hits = new Map((summary.data?.policies ?? []).map((c) => [c.id, c]))
  const words = (p: Kept) => scopeWords(p.scope, t, list, clusters.name).join(' · ')
  return [
    {
      key: 'name',
      title: t('name'),
      width: 165,
      render: (p) => (
        <Link to="/protection/policies/$id" params={{ id: p.id! }} className={blocks.strong}>
          {p.name}
        </Link>
      ),
    },
    { key: 'scope', title: t('col.scope'), width: 200, render: (p) => <span title={words(p)}>{words(p)}</span> },
    { key: 'action', title: t('col.action'), width: 95, render: (p) => (p.disabled ? <span className="text-soft">{t('off')}</span> : <ActionTag action={at(p, sharpestOf(p))} />) },
    {
      key: 'rollout',
      title: t('step.rollout'),
      width: 120,
      render: (p) => {
        const next = nextStep(p)
        return next ? t('nextAt', { action: t(`action.${at(p, sharpestOf(p), new Date(next))}`), date: date(next) }) : <span className="text-soft">{t('final')}</span>
      },
    },
    { key: 'rules', title: t('col.rules'), width: 60, align: 'right', render: (p) => number(p.rules?.length ?? 0) },
    { key: 'checks', title: t('col.checksShort'), width: 70, align: 'right', render: (p) => number(p.checks?.length ?? 0) },
    { key: 'clusters', title: t('col.clusters'), width: 80, render: (p) => (p.scope?.clusters?.length ? number(p.scope.clusters.length) : t('all')) },
    {
      key: 'hits',
      title: t('col.hits'),
      width: 75,
      align: 'right',
      render: (p) => {
        if (!summary.data) return summary.error ? '–' : '…'
        const n = hits.get(p.id!)?.events ?? 0
        if (n === 0) return number(0)
        return (
          <Link to="/protection/events" search={{ policy: p.id! }}>
            {number(n)}
          </Link>
        )
      },
    },
    { key: 'version', title: t('version'), width: 70, align: 'right', render: (p) => number(p.version ?? 1) },
    {
      key: 'by',
      title: t('col.by'),
      width: 130,
      render: (p) => (
        <>
          {p.updatedBy} · <When at={p.updatedAt} />
        </>
      ),
    },
  ]
}
