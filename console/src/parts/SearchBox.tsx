import { SearchOutlined } from '@ant-design/icons'
import { Input } from 'antd'
import { useEffect, useState } from 'react'

import css from './SearchBox.module.css'

type Props = { label: string; value: string; onChange: (value: string) => void; placeholder?: string }

// SearchBox tells what was typed when the typing pauses.
export function SearchBox({ label, value, onChange, placeholder }: Props) {
  const [text, setText] = useState(value)
  const [known, setKnown] = useState(value)
  if (value !== known) {
    setKnown(value)
    setText(value)
  }
  useEffect(() => {
    if (text === value) return
    const timer = setTimeout(() => onChange(text), 300)
    return () => clearTimeout(timer)
  }, [text, value, onChange])
  return (
    <Input
      className={css.box}
      allowClear
      type="search"
      prefix={<SearchOutlined />}
      aria-label={label}
      placeholder={placeholder ?? label}
      value={text}
      onChange={(e) => setText(e.target.value)}
      onPressEnter={() => onChange(text)}
      style={{ maxWidth: 320 }}
    />
  )
}
