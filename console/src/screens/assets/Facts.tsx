import { Descriptions } from 'antd'
import type { ReactNode } from 'react'

// Facts is a list of names and values; empty values are left out.
export function Facts({ items }: { items: { label: string; value: ReactNode }[] }) {
  const shown = items.filter((i) => i.value !== undefined && i.value !== '' && i.value !== null && i.value !== false)
  return <Descriptions size="small" column={1} items={shown.map((i) => ({ key: i.label, label: i.label, children: i.value }))} />
}
