import { DownloadOutlined } from '@ant-design/icons'
import { Button } from 'antd'
import { useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { Problem } from './Problem'
import { received, save } from './file'
import { useFormat } from '../text/format'

type Props = {
  label: string
  get: (signal: AbortSignal) => Promise<{ response: Response; error?: unknown }> // a call with parseAs 'stream'
  name: string // of the file, when the server gives none
  primary?: boolean
  small?: boolean
  disabled?: boolean
}

// DownloadButton fetches a file, says how much has come, can be stopped, and hands the file to the browser when all of it is there:
// half a report never looks like a whole one.
export function DownloadButton({ label, get, name, primary, small, disabled }: Props) {
  const { t } = useTranslation('parts')
  const { bytes } = useFormat()
  const [state, setState] = useState<{ busy: boolean; count: number; done?: number; error?: unknown }>({ busy: false, count: 0 })
  const stop = useRef<AbortController | null>(null)
  useEffect(() => () => stop.current?.abort(), [])
  const start = async () => {
    const control = new AbortController()
    stop.current = control
    setState({ busy: true, count: 0 })
    try {
      const { response } = await get(control.signal)
      const file = await received(response, name, (count) => setState({ busy: true, count }))
      save(file.body, file.name)
      setState({ busy: false, count: 0, done: file.body.size })
    } catch (error) {
      setState(control.signal.aborted ? { busy: false, count: 0 } : { busy: false, count: 0, error })
    }
  }
  return (
    <>
      <span style={{ display: 'inline-flex', gap: 8, alignItems: 'center', flexWrap: 'wrap' }}>
        <Button type={primary ? 'primary' : 'default'} size={small ? 'small' : 'middle'} icon={<DownloadOutlined />} loading={state.busy} disabled={disabled} onClick={() => void start()}>
          {label}
        </Button>
        {state.busy && (
          <Button size="small" onClick={() => stop.current?.abort()}>
            {t('stop')}
          </Button>
        )}
        <span role="status" className="text-soft">
          {state.busy ? t('received', { size: bytes(state.count) }) : state.done !== undefined ? t('downloaded', { size: bytes(state.done) }) : ''}
        </span>
      </span>
      {state.error ? <Problem error={state.error} retry={() => void start()} /> : null}
    </>
  )
}
