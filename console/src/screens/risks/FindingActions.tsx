import { Button, Dropdown, Space } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { HandleDialog, type Action } from './HandleDialog'
import type { Schemas } from '../../api/client'
import { useMayOn } from '../../app/session'
import { AskDialog } from '../exceptions/AskDialog'

// FindingActions is what can be done with one finding.
export function FindingActions({ finding }: { finding: Schemas['FindingFull'] }) {
  const { t } = useTranslation('risks')
  const [action, setAction] = useState<Action | null>(null)
  const [ask, setAsk] = useState(false)
  const may = useMayOn('handle', finding.targetId, finding.namespace)
  const mayAsk = useMayOn('except', finding.targetId, finding.namespace)
  const ended = finding.status === 'fixed' || finding.status === 'gone'
  if (!may && !mayAsk) return null
  const first: Action = finding.status === 'ignored' ? 'unignore' : 'ignore'
  const more: Action[] = ended ? ['comment', 'verify'] : ['mark-fixed', 'assign', 'comment', 'verify']
  return (
    <>
      <Space wrap>
        {may && !ended && finding.status !== 'accepted' && (
          <Button type="primary" onClick={() => setAction(first)}>
            {t(`action.${first}`)}
          </Button>
        )}
        {mayAsk && !ended && finding.status !== 'accepted' && <Button onClick={() => setAsk(true)}>{t('action.except')}</Button>}
        {may && (
          <Dropdown trigger={['click']} menu={{ items: more.map((a) => ({ key: a, label: t(`action.${a}`), onClick: () => setAction(a) })) }}>
            <Button>{t('moreActions')}</Button>
          </Dropdown>
        )}
      </Space>
      {action && <HandleDialog wanted={{ action, of: { ids: [finding.id] } }} close={() => setAction(null)} />}
      {ask && <AskDialog finding={finding} close={() => setAsk(false)} />}
    </>
  )
}
