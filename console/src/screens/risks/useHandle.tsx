import { useQueryClient } from '@tanstack/react-query'
import { App, Button } from 'antd'
import { Link } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Action } from './HandleDialog'
import { undoing, type Meant } from './selection'
import { call, type Schemas } from '../../api/client'
import { useFormat } from '../../text/format'

type What = { action: Action; note?: string; assigneeId?: string }
type Body = Schemas['HandlingBulk']

// meantBody is a selection as the request has it.
export function meantBody(of: Meant | ReturnType<typeof undoing>): Pick<Body, 'ids' | 'filter'> {
  return of as Pick<Body, 'ids' | 'filter'>
}

// shown are the lists that an action changes.
const shown = ['/api/v1/findings', '/api/v1/risks', '/api/v1/overview', '/api/v1/assets', '/api/v1/exceptions']

// useChanged reads all lists of findings again.
export function useChanged() {
  const client = useQueryClient()
  return () => client.invalidateQueries({ predicate: (q) => q.queryKey[0] === 'get' && shown.some((p) => String(q.queryKey[1]).startsWith(p)) })
}

// useHandle does an action, says what came of it, and offers to take it back where that can be.
export function useHandle() {
  const { t } = useTranslation('risks')
  const { number } = useFormat()
  const { notification } = App.useApp()
  const changed = useChanged()
  const [working, setWorking] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const [seconds, setSeconds] = useState(0)
  useEffect(() => {
    if (!working) return
    const begin = Date.now()
    const timer = setInterval(() => setSeconds(Math.round((Date.now() - begin) / 1000)), 500)
    return () => clearInterval(timer)
  }, [working])
  const count = useRef(0)

  const send = async (what: What, of: Pick<Body, 'ids' | 'filter'>) => {
    setWorking(true)
    setSeconds(0)
    setError(null)
    try {
      const { data } = await call.POST('/api/v1/findings/actions', { body: { ...what, ...of } })
      await changed()
      return data
    } catch (e) {
      setError(e)
      return undefined
    } finally {
      setWorking(false)
    }
  }
  const run = async (what: What, of: Meant): Promise<boolean> => {
    const effect = await send(what, meantBody(of))
    if (!effect) return false
    const key = `handled-${count.current++}`
    const undoes = what.action === 'ignore' ? 'unignore' : what.action === 'unignore' ? 'ignore' : undefined
    const undo = async () => {
      notification.destroy(key)
      await send({ action: undoes!, note: t('undoNote') }, meantBody(undoing(of, what.action as 'ignore', effect.at)))
    }
    notification.success({
      key,
      title: t(`done.${what.action}`, { count: effect.changed, number: number(effect.changed) }),
      description: effect.taskId && <Link to="/tasks/$id" params={{ id: effect.taskId }}>{t('toTask')}</Link>,
      actions: undoes && effect.changed > 0 && (
        <Button size="small" onClick={() => void undo()}>
          {t('undo')}
        </Button>
      ),
      duration: undoes ? 15 : 6,
      role: 'status',
    })
    return true
  }
  return { run, working, seconds, error }
}
