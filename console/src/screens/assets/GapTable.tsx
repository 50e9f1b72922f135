import { Link } from '@tanstack/react-router'
import { Tooltip } from 'antd'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import type { Gap } from './shapes'
import { api } from '../../api/client'
import { useSaid } from '../../app/said/said'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { When } from '../../parts/When'

export const codes = ['no-advisory-data', 'forbidden', 'unreachable', 'limit', 'broken', 'unsupported', 'managed', 'skipped'] as const
export type Code = (typeof codes)[number]

// codeOf takes the codes that there are from a text of the URL.
export function codesOf(list: string[]): Code[] {
  return codes.filter((c) => list.includes(c))
}

// GapTable lists what was not scanned at the last look, why, and what to do about it.
export function GapTable({ target, code, height }: { target?: number[]; code: Code[]; height?: string }) {
  const { t } = useTranslation('assets')
  const { t: word } = useTranslation('words')
  const said = useSaid()
  const query = api.useInfiniteQuery('get', '/api/v1/gaps', { params: { query: { target, code: code.length > 0 ? code : undefined, limit: 100 } } }, paging)
  const one = target?.length === 1
  const columns = useMemo<Column<Gap>[]>(
    () => [
      {
        key: 'target',
        title: t('columns.target'),
        width: 120,
        hidden: one,
        render: (g) => (
          <Link to="/clusters/$id" params={{ id: g.targetId }}>
            {g.target}
          </Link>
        ),
      },
      { key: 'subject', title: t('columns.subject'), width: 240, render: (g) => <Cut text={g.subject} /> },
      { key: 'what', title: t('columns.what'), width: 120, render: (g) => <Cut text={g.what} /> },
      { key: 'code', title: t('columns.code'), width: 140, render: (g) => word(`gap.${g.code as Code}`) },
      { key: 'reason', title: t('columns.reason'), width: 320, render: (g) => <Cut text={said(g.reason)} /> },
      { key: 'todo', title: t('columns.todo'), width: 300, render: (g) => <Cut text={t(`todo.${g.code as Code}`)} /> },
      { key: 'since', title: t('columns.since'), width: 120, render: (g) => <When at={g.since} /> },
    ],
    [t, word, said, one],
  )
  return <DataTable name={one ? 'gaps-of-one' : 'gaps'} label={t('gaps')} query={query} columns={columns} rowKey={(g) => g.id} height={height} empty={<EmptyState title={t('noGaps')} hint={t('noGapsHint')} />} />
}

function Cut({ text }: { text: string }) {
  return (
    <Tooltip title={text.length > 30 ? text : undefined}>
      <span className={css.cut}>{text}</span>
    </Tooltip>
  )
}
