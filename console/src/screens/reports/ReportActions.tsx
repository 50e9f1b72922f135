import { useQueryClient } from '@tanstack/react-query'
import { Button, Popconfirm } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Report } from './model'
import { ReportForm } from './ReportForm'
import css from './reports.module.css'
import { api } from '../../api/client'
import { useMay } from '../../app/session'
import { Problem } from '../../parts/Problem'

// useReportsChanged reads again what a change of a report changes.
export function useReportsChanged() {
  const client = useQueryClient()
  return () => client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/reports') })
}

// ReportActions runs, changes and removes a report.
export function ReportActions({ report: r, onRemoved }: { report: Report; onRemoved?: () => void }) {
  const { t } = useTranslation('reports')
  const may = useMay('manage-schedules')
  const changed = useReportsChanged()
  const [editing, edit] = useState(false)
  const run = api.useMutation('post', '/api/v1/reports/{id}/run', { onSuccess: () => void changed() })
  const remove = api.useMutation('delete', '/api/v1/reports/{id}', {
    onSuccess: () => {
      onRemoved?.()
      void changed()
    },
  })
  if (!may) return null
  const path = { params: { path: { id: Number(r.id) } } }
  const error = run.error ?? remove.error
  return (
    <>
      <div className={css.row}>
        <Button size="small" loading={run.isPending || r.running} onClick={() => run.mutate(path)} aria-label={t('runOf', { name: r.name })}>
          {t('run')}
        </Button>
        <Button size="small" onClick={() => edit(true)} aria-label={t('changeOf', { name: r.name })}>
          {t('change')}
        </Button>
        <Popconfirm title={t('removeAsk', { name: r.name })} description={t('removeHint')} okText={t('remove')} cancelText={t('cancel')} onConfirm={() => remove.mutate(path)}>
          <Button size="small" danger loading={remove.isPending} aria-label={t('removeOf', { name: r.name })}>
            {t('remove')}
          </Button>
        </Popconfirm>
      </div>
      {error && <Problem error={error} />}
      {editing && <ReportForm report={r} onClose={() => edit(false)} />}
    </>
  )
}
