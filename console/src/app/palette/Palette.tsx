import { useNavigate } from '@tanstack/react-router'
import { Modal } from 'antd'
import { useEffect, useState } from 'react'

import { Finder } from './Finder'
import { paletteEvent } from './open'
import css from './Palette.module.css'
import type { Option } from './results'

// typing reports whether a key belongs to a field that somebody types in.
function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName))
}

// Palette finds anything and does anything from the keyboard: Ctrl or Cmd with K, or a slash.
export default function Palette() {
  const [open, setOpen] = useState(false)
  const navigate = useNavigate()
  useEffect(() => {
    const show = () => setOpen(true)
    const key = (e: KeyboardEvent) => {
      const k = (e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === 'k'
      if (!k && !(e.key === '/' && !e.ctrlKey && !e.metaKey && !e.altKey && !typing(e.target))) return
      e.preventDefault()
      setOpen((was) => (k ? !was : true))
    }
    addEventListener(paletteEvent, show)
    addEventListener('keydown', key)
    return () => {
      removeEventListener(paletteEvent, show)
      removeEventListener('keydown', key)
    }
  }, [])
  const choose = (option: Option) => {
    setOpen(false)
    if (option.go) void navigate({ to: option.go.to, search: option.go.search ?? {} })
    else option.run?.()
  }
  return (
    <Modal open={open} onCancel={() => setOpen(false)} footer={null} closable={false} width={640} destroyOnHidden classNames={{ container: css.box, body: css.body }} style={{ top: 72 }} title={null}>
      {open && <Finder onChoose={choose} />}
    </Modal>
  )
}
