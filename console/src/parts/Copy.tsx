import { CheckOutlined, CopyOutlined } from '@ant-design/icons'
import { Button, Tooltip } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

type Props = { text: string; label?: string } // with a label it is a button with words, without a small icon

// Copy puts a text into the clipboard, and says that it did.
export function Copy({ text, label }: Props) {
  const { t } = useTranslation('parts')
  const [done, setDone] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(text)
    setDone(true)
    setTimeout(() => setDone(false), 2000)
  }
  const icon = done ? <CheckOutlined /> : <CopyOutlined />
  return (
    <>
      <Tooltip title={label ? undefined : done ? t('copied') : t('copy')}>
        <Button size="small" type={label ? 'default' : 'text'} icon={icon} onClick={() => void copy()} aria-label={label ?? t('copy')}>
          {label && (done ? t('copied') : label)}
        </Button>
      </Tooltip>
      <span role="status" className="unseen">
        {done ? t('copied') : ''}
      </span>
    </>
  )
}
