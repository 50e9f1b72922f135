import { MoreOutlined } from '@ant-design/icons'
import { Button, Dropdown } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { Credentials, Remove, Rename } from './ClusterDialogs'
import { useMayOn } from '../../app/session'

type Props = { id: string; name: string; kind: string; onRemoved?: () => void; words?: boolean }

// ClusterMenu is what an administrator may do to a cluster; nothing for who may not.
export function ClusterMenu({ id, name, kind, onRemoved, words }: Props) {
  const { t } = useTranslation('assets')
  const may = useMayOn('manage-clusters', id)
  const [open, setOpen] = useState<'' | 'rename' | 'credentials' | 'remove'>('')
  if (!may) return null
  const close = () => setOpen('')
  const items = [
    { key: 'rename', label: t('rename') },
    ...(kind === 'kubeconfig' ? [{ key: 'credentials', label: t('changeCredentials') }] : []),
    { key: 'remove', label: t('remove'), danger: true },
  ]
  return (
    <>
      <Dropdown trigger={['click']} menu={{ items, onClick: ({ key }) => setOpen(key as 'rename' | 'credentials' | 'remove') }}>
        <Button type={words ? 'default' : 'text'} icon={<MoreOutlined />} aria-label={words ? undefined : t('actionsOn', { name })}>
          {words ? t('more') : undefined}
        </Button>
      </Dropdown>
      {open === 'rename' && <Rename id={id} name={name} onClose={close} />}
      {open === 'credentials' && <Credentials id={id} name={name} onClose={close} />}
      {open === 'remove' && <Remove id={id} name={name} onClose={close} onDone={() => (close(), onRemoved?.())} />}
    </>
  )
}
