import { Select } from 'antd'

type Props = {
  label: string
  value: string[]
  options: { value: string; label: string }[]
  onChange: (value: string[]) => void
  width?: number
}

// Choice is a filter with several values; none is all.
export function Choice({ label, value, options, onChange, width = 180 }: Props) {
  return (
    <Select
      mode="multiple"
      allowClear
      aria-label={label}
      placeholder={label}
      value={value}
      options={options}
      onChange={onChange}
      maxTagCount="responsive"
      showSearch={{ optionFilterProp: 'label' }}
      style={{ width, maxWidth: '100%' }}
    />
  )
}
