import { Button, Dropdown } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Filter } from './filter'
import type { Action } from './HandleDialog'
import type { Schemas } from '../../api/client'
import { useMay } from '../../app/session'
import { AskDialog } from '../exceptions/AskDialog'
import { common } from '../exceptions/choices'
import css from '../../parts/Filter.module.css'
import { useFormat } from '../../text/format'

type Props = {
  filter: Filter
  count: number
  atLeast: boolean
  total?: number // all that match, when they can be selected too
  rows: Schemas['FindingLine'][] // selected ones that are loaded
  all: boolean
  selectAll: () => void
  clear: () => void
  want: (action: Action) => void
}

// BulkBar says how much is selected and what can be done with it.
export function BulkBar({ filter, count, atLeast, total, rows, all, selectAll, clear, want }: Props) {
  const { t } = useTranslation('risks')
  const { number } = useFormat()
  const mayAsk = useMay('except')
  const [ask, setAsk] = useState(false)
  if (count === 0) return null
  const more: Action[] = ['mark-fixed', 'assign', 'comment', 'verify']
  return (
    <div className={css.bulk} role="region" aria-label={t('bulk')}>
      <strong role="status">{atLeast ? t('selectedAtLeast', { number: number(count) }) : t('selected', { count, number: number(count) })}</strong>
      {total !== undefined && (
        <Button type="link" size="small" onClick={selectAll}>
          {t('selectAll', { number: number(total) })}
        </Button>
      )}
      <Button type="primary" onClick={() => want('ignore')}>
        {t('action.ignore')}
      </Button>
      <Button onClick={() => want('unignore')}>{t('action.unignore')}</Button>
      {more.slice(0, 2).map((a) => (
        <Button key={a} onClick={() => want(a)}>
          {t(`action.${a}`)}
        </Button>
      ))}
      <Dropdown
        trigger={['click']}
        menu={{
          items: [...more.slice(2).map((a) => ({ key: a, label: t(`action.${a}`), onClick: () => want(a) })), ...(mayAsk ? [{ key: 'except', label: t('action.except'), onClick: () => setAsk(true) }] : [])],
        }}
      >
        <Button>{t('moreActions')}</Button>
      </Dropdown>
      <Button type="text" onClick={clear}>
        {t('unselect')}
      </Button>
      {ask && <AskDialog scope={common(rows, all ? filter : {})} close={() => setAsk(false)} />}
    </div>
  )
}
