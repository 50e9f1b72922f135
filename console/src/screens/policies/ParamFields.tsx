import { Button, Input, InputNumber, Select, Switch } from 'antd'
import { useId, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { changedParams, kindOf, readJson, readMap, readNumbers, same, valueOf, writeMap, type Params } from './params'
import css from '../../parts/Blocks.module.css'

type Props = { standard: Params; own?: Params; change: (own: Params | undefined) => void }

// ParamFields are the parameters of a rule, each with a field of its type. What is left as the rule has it is not kept.
export function ParamFields({ standard, own, change }: Props) {
  const { t } = useTranslation('policies')
  return (
    <div className={css.fields}>
      {Object.keys(standard).map((name) => (
        <div key={name} className={css.field}>
          <Field name={name} standard={standard[name]} value={valueOf(standard, own, name)} set={(v) => change(changedParams(standard, own, name, v))} />
          {!same(valueOf(standard, own, name), standard[name]) && (
            <Button size="small" type="link" style={{ alignSelf: 'start', padding: 0 }} onClick={() => change(changedParams(standard, own, name, undefined))}>
              {t('param.reset', { name })}
            </Button>
          )}
        </div>
      ))}
    </div>
  )
}

type FieldProps = { name: string; standard: unknown; value: unknown; set: (v: unknown) => void }

function Field({ name, standard, value, set }: FieldProps) {
  const id = useId()
  const kind = kindOf(standard)
  const label = (
    <label htmlFor={id}>
      <code>{name}</code>
    </label>
  )
  switch (kind) {
    case 'switch':
      return (
        <span className={css.row}>
          <Switch id={id} size="small" checked={value === true} onChange={set} /> {label}
        </span>
      )
    case 'number':
      return (
        <>
          {label}
          <InputNumber id={id} value={value as number} onChange={(n) => set(n ?? undefined)} style={{ width: '100%' }} />
        </>
      )
    case 'words':
    case 'numbers':
      return (
        <>
          {label}
          <Select
            id={id}
            mode="tags"
            open={false}
            suffixIcon={null}
            value={(value as (string | number)[]).map(String)}
            tokenSeparators={[',', '\n']}
            onChange={(words: string[]) => set(kind === 'numbers' ? readNumbers(words) : words)}
            style={{ width: '100%' }}
          />
        </>
      )
    case 'text':
      return (
        <>
          {label}
          <Input id={id} value={value as string} onChange={(e) => set(e.target.value)} />
        </>
      )
    case 'map':
    case 'json':
      return <Written id={id} name={name} map={kind === 'map'} value={value} set={set} />
  }
}

// Written is a value that is written as text: lines "key=value", or JSON. What cannot be read is told and not kept.
function Written({ id, name, map, value, set }: { id: string; name: string; map: boolean; value: unknown; set: (v: unknown) => void }) {
  const { t } = useTranslation('policies')
  const write = (v: unknown) => (map ? writeMap(v) : JSON.stringify(v))
  const [text, setText] = useState(() => write(value))
  const [fault, setFault] = useState('')
  const [known, setKnown] = useState(value)
  if (!same(known, value)) {
    setKnown(value)
    if (!fault && !same(map ? readMap(text) : (readJson(text) as { value?: unknown }).value, value)) setText(write(value))
  }
  const take = (next: string) => {
    setText(next)
    if (map) return set(readMap(next))
    const read = readJson(next)
    if ('fault' in read) return setFault(read.fault)
    setFault('')
    set(read.value)
  }
  return (
    <>
      <label htmlFor={id}>
        <code>{name}</code> <span className={css.hint}>{map ? t('param.map') : t('param.json')}</span>
      </label>
      <Input.TextArea id={id} value={text} onChange={(e) => take(e.target.value)} autoSize={{ minRows: 2, maxRows: 10 }} status={fault ? 'error' : undefined} spellCheck={false} />
      {fault && (
        <span role="alert" className={css.fault}>
          {fault}
        </span>
      )}
    </>
  )
}
