import { Alert, Button, Input, Modal, Select, Skeleton } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { meantBody, useHandle } from './useHandle'
import type { Meant } from './selection'
import { api } from '../../api/client'
import { Problem } from '../../parts/Problem'
import { useFormat } from '../../text/format'

export type Action = 'ignore' | 'unignore' | 'mark-fixed' | 'assign' | 'comment' | 'verify'
export type Wanted = { action: Action; of: Meant }

type Props = { wanted: Wanted; close: () => void; done?: () => void }

// HandleDialog shows what an action would do before it does it, and takes the reason.
export function HandleDialog({ wanted, close, done }: Props) {
  const { t } = useTranslation('risks')
  const { action, of } = wanted
  const [note, setNote] = useState('')
  const [assignee, setAssignee] = useState<string>()
  const { run, working, seconds, error } = useHandle()
  const reasoned = action === 'ignore' || action === 'comment'
  const named = action === 'assign'
  const effect = api.useQuery(
    'post',
    '/api/v1/findings/actions',
    { body: { action, ...meantBody(of), dryRun: true, note: action === 'comment' ? '…' : undefined, assigneeId: assignee } },
    { gcTime: 0, staleTime: 0, retry: false },
  )
  const submit = async () => {
    const ok = await run({ action, note: note.trim() || undefined, assigneeId: assignee }, of)
    if (!ok) return
    done?.()
    close()
  }
  const changes = effect.data?.changed ?? 0
  return (
    <Modal
      open
      onCancel={close}
      title={t(`action.${action}`)}
      footer={[
        <Button key="cancel" onClick={close}>
          {t('cancel')}
        </Button>,
        <Button key="ok" type="primary" loading={working} disabled={!effect.data || changes === 0 || (reasoned && !note.trim())} onClick={() => void submit()}>
          {t(`do.${action}`)}
        </Button>,
      ]}
    >
      <p>{t(`about.${action}`)}</p>
      {named && <Assignees value={assignee} onChange={setAssignee} />}
      {action !== 'verify' && (
        <label>
          {reasoned ? t(action === 'comment' ? 'comment' : 'reason') : t('noteOptional')}
          <Input.TextArea autoFocus value={note} onChange={(e) => setNote(e.target.value)} maxLength={4000} autoSize={{ minRows: 3, maxRows: 8 }} />
        </label>
      )}
      <div style={{ marginTop: 12, minHeight: 66 }} aria-live="polite">
        {effect.isPending ? <Skeleton active title={false} paragraph={{ rows: 2 }} /> : effect.error ? <Problem error={effect.error} /> : <Effect effect={effect.data} />}
      </div>
      {error ? <Problem error={error} /> : null}
      {working && seconds >= 2 && <Alert type="info" title={t('working', { seconds })} role="status" />}
    </Modal>
  )
}

type Counts = { selected: number; changed: number; notAllowed?: number }

// Effect says what an action changes of what is selected.
export function Effect({ effect }: { effect: Counts }) {
  const { t } = useTranslation('risks')
  const { number } = useFormat()
  const same = effect.selected - effect.changed - (effect.notAllowed ?? 0)
  return (
    <Alert
      type={effect.changed > 0 ? 'info' : 'warning'}
      showIcon
      title={t('willChange', { count: effect.changed, number: number(effect.changed), of: number(effect.selected) })}
      description={
        <>
          {same > 0 && <div>{t('already', { count: same, number: number(same) })}</div>}
          {(effect.notAllowed ?? 0) > 0 && <div>{t('notAllowed', { count: effect.notAllowed, number: number(effect.notAllowed!) })}</div>}
        </>
      }
    />
  )
}

function Assignees({ value, onChange }: { value?: string; onChange: (id: string | undefined) => void }) {
  const { t } = useTranslation('risks')
  const list = api.useQuery('get', '/api/v1/assignees')
  return (
    <p>
      <Select
        allowClear
        aria-label={t('assignee')}
        placeholder={t('nobody')}
        value={value}
        onChange={onChange}
        loading={list.isPending}
        options={(list.data?.items ?? []).map((u) => ({ value: u.id, label: u.displayName ? `${u.displayName} (${u.name})` : u.name }))}
        showSearch={{ optionFilterProp: 'label' }}
        style={{ width: '100%' }}
      />
    </p>
  )
}
