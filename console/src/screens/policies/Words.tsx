import { Select } from 'antd'

import blocks from '../../parts/Blocks.module.css'

type Props = { id: string; label: string; value: string[] | null | undefined; change: (v: string[]) => void; hint?: string; placeholder?: string; disabled?: boolean }

// Words is a field of several words, each typed freely.
export function Words({ id, label, value, change, hint, placeholder, disabled }: Props) {
  return (
    <div className={blocks.field}>
      <label htmlFor={id}>{label}</label>
      <Select id={id} mode="tags" open={false} suffixIcon={null} value={value ?? []} tokenSeparators={[',', ' ', '\n']} placeholder={placeholder} onChange={change} disabled={disabled} style={{ width: '100%' }} />
      {hint && <span className={blocks.hint}>{hint}</span>}
    </div>
  )
}
