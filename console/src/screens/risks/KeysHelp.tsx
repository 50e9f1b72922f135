import { QuestionCircleOutlined } from '@ant-design/icons'
import { Button, Modal } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './KeysHelp.module.css'

const rows = [
  ['j', '↓'],
  ['k', '↑'],
  ['Enter'],
  ['x'],
  ['e'],
  ['o'],
  ['Esc'],
  ['?'],
] as const

// typing reports whether a key goes into a field.
export function typing(e: KeyboardEvent): boolean {
  const element = e.target as HTMLElement | null
  return !!element?.closest?.('input:not([type=checkbox]), textarea, select, [contenteditable], [role=combobox]')
}

// KeysHelp lists the keys of the page; ? opens it.
export function KeysHelp() {
  const { t } = useTranslation('risks')
  const [open, setOpen] = useState(false)
  useEffect(() => {
    const on = (e: KeyboardEvent) => {
      if (e.key === '?' && !e.ctrlKey && !e.metaKey && !typing(e)) setOpen(true)
    }
    document.addEventListener('keydown', on)
    return () => document.removeEventListener('keydown', on)
  }, [])
  return (
    <>
      <Button icon={<QuestionCircleOutlined />} aria-label={t('keys')} title={t('keys')} onClick={() => setOpen(true)} />
      <Modal open={open} onCancel={() => setOpen(false)} footer={null} title={t('keys')}>
        <dl className={css.keys}>
          {rows.map((keys) => (
            <div key={keys[0]}>
              <dt>
                {keys.map((k) => (
                  <kbd key={k}>{k}</kbd>
                ))}
              </dt>
              <dd>{t(`key.${keys[0]}`)}</dd>
            </div>
          ))}
        </dl>
      </Modal>
    </>
  )
}
