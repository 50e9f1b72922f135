import { Button, Checkbox, Input, InputNumber, Select } from 'antd'
import { useTranslation } from 'react-i18next'

import { fieldsOf } from './draft'
import type { ImageCheck } from './shapes'
import blocks from '../../parts/Blocks.module.css'
import { severities } from '../../parts/Severity'

type Props = { id: string; check: ImageCheck; change: (c: Partial<ImageCheck>) => void }

// CheckFields are the fields of one check of images.
export function CheckFields({ id, check: c, change }: Props) {
  const { t } = useTranslation('policies')
  const { t: word } = useTranslation('words')
  const has = (f: keyof ImageCheck) => fieldsOf[c.check].includes(f)
  const words = (field: 'cves' | 'rules' | 'allow') => (
    <div className={blocks.field}>
      <label htmlFor={`${id}-${field}`}>{t(`field.${field}`)}</label>
      <Select id={`${id}-${field}`} mode="tags" open={false} suffixIcon={null} value={c[field] ?? []} tokenSeparators={[',', ' ', '\n']} placeholder={t(`example.${field}`)} onChange={(v: string[]) => change({ [field]: v })} style={{ width: '100%' }} />
    </div>
  )
  const whole = (field: 'olderThanDays' | 'maxAgeDays') => (
    <div className={blocks.field}>
      <label htmlFor={`${id}-${field}`}>{t(`field.${field}`)}</label>
      <InputNumber id={`${id}-${field}`} min={0} max={3650} precision={0} value={c[field] ?? null} placeholder={t('noLimit')} onChange={(n) => change({ [field]: n ?? undefined })} style={{ width: '100%' }} />
    </div>
  )
  return (
    <div className={blocks.stack}>
      <div className={blocks.fields}>
        {has('severity') && (
          <div className={blocks.field}>
            <label htmlFor={`${id}-severity`}>{t('field.severity')}</label>
            <Select id={`${id}-severity`} value={c.severity ?? 'high'} options={severities.map((s) => ({ value: s, label: word(`severity.${s}`) }))} onChange={(severity) => change({ severity })} />
          </div>
        )}
        {has('epss') && (
          <div className={blocks.field}>
            <label htmlFor={`${id}-epss`}>{t('field.epss')}</label>
            <InputNumber id={`${id}-epss`} min={0} max={1} step={0.01} value={c.epss ?? null} placeholder={t('noLimit')} onChange={(n) => change({ epss: n ?? undefined })} style={{ width: '100%' }} />
          </div>
        )}
        {has('olderThanDays') && whole('olderThanDays')}
        {has('maxAgeDays') && whole('maxAgeDays')}
      </div>
      {has('fixable') && (
        <div className={blocks.row}>
          <Checkbox checked={!!c.fixable} onChange={(e) => change({ fixable: e.target.checked })}>
            {t('field.fixable')}
          </Checkbox>
          <Checkbox checked={!!c.exploited} onChange={(e) => change({ exploited: e.target.checked })}>
            {t('field.exploited')}
          </Checkbox>
        </div>
      )}
      {has('cves') && words('cves')}
      {has('rules') && words('rules')}
      {has('allow') && words('allow')}
      {has('keys') && <Keys id={id} keys={c.keys ?? []} change={(keys) => change({ keys })} />}
    </div>
  )
}

type Key = NonNullable<ImageCheck['keys']>[number]

// Keys are public keys, one of which must have signed.
export function Keys({ id, keys, change }: { id: string; keys: Key[]; change: (keys: Key[]) => void }) {
  const { t } = useTranslation('policies')
  const put = (i: number, k: Partial<Key>) => change(keys.map((x, n) => (n === i ? { ...x, ...k } : x)))
  return (
    <div className={blocks.stack}>
      {keys.map((k, i) => (
        <div key={i} className={blocks.fields}>
          <div className={blocks.field}>
            <label htmlFor={`${id}-key-${i}`}>{t('key.name')}</label>
            <Input id={`${id}-key-${i}`} value={k.name} maxLength={100} onChange={(e) => put(i, { name: e.target.value })} />
            <Button size="small" style={{ alignSelf: 'start' }} onClick={() => change(keys.filter((_, n) => n !== i))}>
              {t('key.remove')}
            </Button>
          </div>
          <div className={blocks.field}>
            <label htmlFor={`${id}-pem-${i}`}>{t('key.pem')}</label>
            <Input.TextArea id={`${id}-pem-${i}`} value={k.pem} maxLength={10_000} spellCheck={false} autoSize={{ minRows: 4, maxRows: 8 }} placeholder="-----BEGIN PUBLIC KEY-----" onChange={(e) => put(i, { pem: e.target.value })} />
          </div>
        </div>
      ))}
      <Button size="small" style={{ alignSelf: 'start' }} onClick={() => change([...keys, { name: '', pem: '' }])}>
        {t('key.add')}
      </Button>
    </div>
  )
}
