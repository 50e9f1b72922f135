import { Form, InputNumber } from 'antd'
import { useId } from 'react'
import { useTranslation } from 'react-i18next'

import type { Budget } from './what'
import css from './scans.module.css'

const fields = [
  { name: 'parallelClusters', max: 1000 },
  { name: 'requestRate', max: 10_000 },
  { name: 'parallelImages', max: 1000 },
  { name: 'imagesPerHour', max: 1_000_000 },
] as const

// BudgetFields bound what a scan may use. An empty field is no bound of its own.
export function BudgetFields({ value, onChange }: { value: Budget; onChange: (budget: Budget) => void }) {
  const { t } = useTranslation('scans')
  const id = useId()
  return (
    <Form layout="vertical" component={false}>
      <div className={css.columns}>
        {fields.map(({ name, max }) => (
          <Form.Item key={name} label={t(`budget.${name}`)} htmlFor={id + name} extra={t(`budgetWhy.${name}`)} style={{ margin: 0 }}>
            <InputNumber
              id={id + name}
              min={1}
              max={max}
              precision={0}
              placeholder={t('noBound')}
              value={value[name] || null}
              onChange={(n) => onChange({ ...value, [name]: n ?? undefined })}
              style={{ width: '100%' }}
            />
          </Form.Item>
        ))}
      </div>
    </Form>
  )
}
