import { Button, Dropdown, Space } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { HandleEvents, type Action } from './HandleEvents'
import type { Schemas } from '../../api/client'
import { useMayOn } from '../../app/session'

type Event = Schemas['AdmissionEventPage']

// actionsOf lists what makes sense for an event, given what the user may.
export function actionsOf(e: Pick<Event, 'state' | 'digest' | 'namespace' | 'ownerName'>, may: { handle: boolean; except: boolean; change: boolean }): Action[] {
  const out: Action[] = []
  if (may.handle) out.push(...(e.state === 'unhandled' ? (['handled', 'ignore'] as const) : (['reopen'] as const)))
  if (may.except && e.ownerName) out.push('except')
  if (may.change && e.digest) out.push('allow-image')
  if (may.change && e.namespace) out.push('exclude')
  return out
}

// EventActions is what can be done with one event.
export function EventActions({ event: e }: { event: Event }) {
  const { t } = useTranslation('admission')
  const [action, setAction] = useState<Action | null>(null)
  const may = { handle: useMayOn('handle', e.targetId, e.namespace), except: useMayOn('except', e.targetId, e.namespace), change: useMayOn('manage-policies', e.targetId) }
  const list = actionsOf(e, may)
  const [first, ...rest] = list
  if (!first) return null
  return (
    <>
      <Space wrap>
        <Button type="primary" onClick={() => setAction(first)}>
          {t(`do.${first}`)}
        </Button>
        {rest.slice(0, 1).map((a) => (
          <Button key={a} onClick={() => setAction(a)}>
            {t(`do.${a}`)}
          </Button>
        ))}
        {rest.length > 1 && (
          <Dropdown trigger={['click']} menu={{ items: rest.slice(1).map((a) => ({ key: a, label: t(`do.${a}`), onClick: () => setAction(a) })) }}>
            <Button>{t('moreActions')}</Button>
          </Dropdown>
        )}
      </Space>
      {action && <HandleEvents wanted={{ action, of: { ids: [e.id] } }} close={() => setAction(null)} />}
    </>
  )
}
