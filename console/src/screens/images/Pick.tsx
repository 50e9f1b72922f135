import { Select } from 'antd'

type Props = { label: string; value: string | undefined; options: { value: string; label: string }[]; onChange: (value: string) => void; width?: number }

// Pick is a filter with one value; none is all.
export function Pick({ label, value, options, onChange, width = 160 }: Props) {
  return <Select allowClear aria-label={label} placeholder={label} value={value || undefined} options={options} onChange={(v?: string) => onChange(v ?? '')} style={{ width, maxWidth: '100%' }} />
}
