import { Button, Input } from 'antd'
import { useState, type FormEvent } from 'react'
import { useTranslation } from 'react-i18next'

import css from './Exceptions.module.css'
import { call, type Schemas } from '../../api/client'
import { useMay } from '../../app/session'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { useChanged } from '../risks/useHandle'

// Comments are what people said about an exception.
export function Comments({ exception: e }: { exception: Schemas['Record'] }) {
  const { t } = useTranslation('exceptions')
  const may = useMay('except')
  const changed = useChanged()
  const [text, setText] = useState('')
  const [working, setWorking] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const list = e.comments ?? []
  const send = async (event: FormEvent) => {
    event.preventDefault()
    setWorking(true)
    setError(null)
    try {
      await call.POST('/api/v1/exceptions/{id}/comments', { params: { path: { id: Number(e.id) } }, body: { text: text.trim() } })
      setText('')
      await changed()
    } catch (cause) {
      setError(cause)
    }
    setWorking(false)
  }
  return (
    <>
      {list.length === 0 && <p className={css.hint}>{t('noComments')}</p>}
      <ul className={css.comments}>
        {list.map((c) => (
          <li key={c.id}>
            <strong>{c.name}</strong> <When at={c.at} />
            <p>{c.body}</p>
          </li>
        ))}
      </ul>
      {may && (
        <form onSubmit={(x) => void send(x)} className={css.plain}>
          <Input.TextArea aria-label={t('comment')} placeholder={t('comment')} value={text} onChange={(x) => setText(x.target.value)} maxLength={4000} autoSize={{ minRows: 2, maxRows: 6 }} />
          <div>
            <Button htmlType="submit" loading={working} disabled={!text.trim()}>
              {t('say')}
            </Button>
          </div>
          {error ? <Problem error={error} /> : null}
        </form>
      )}
    </>
  )
}
