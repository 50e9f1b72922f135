import { DownloadOutlined, UploadOutlined } from '@ant-design/icons'
import { Alert, Button, Dropdown, Modal } from 'antd'
import { useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './Exceptions.module.css'
import { call, type Schemas } from '../../api/client'
import { useMay } from '../../app/session'
import { Problem } from '../../parts/Problem'
import { useFormat } from '../../text/format'
import { useChanged } from '../risks/useHandle'

const most = 10 << 20 // as the API takes

// VexTools writes accepted findings as OpenVEX or as a file for pipelines, and makes exceptions of a VEX document.
export function VexTools({ target }: { target?: number }) {
  const { t } = useTranslation('exceptions')
  const may = useMay('except')
  const [open, setOpen] = useState(false)
  const at = target ? `?target=${target}` : ''
  const items = [
    {
      key: 'vex',
      label: (
        <a href={`/api/v1/exceptions/vex${at}`} download>
          {t('exportVex')}
        </a>
      ),
    },
    {
      key: 'file',
      label: (
        <a href={`/api/v1/exceptions/file${target ? `?cluster=${target}` : ''}`} download>
          {t('exportFile')}
        </a>
      ),
    },
  ]
  return (
    <>
      <Dropdown trigger={['click']} menu={{ items }}>
        <Button icon={<DownloadOutlined />}>{t('export')}</Button>
      </Dropdown>
      {may && (
        <Button icon={<UploadOutlined />} onClick={() => setOpen(true)}>
          {t('importVex')}
        </Button>
      )}
      {open && <Import target={target} close={() => setOpen(false)} />}
    </>
  )
}

function Import({ target, close }: { target?: number; close: () => void }) {
  const { t } = useTranslation('exceptions')
  const { number } = useFormat()
  const changed = useChanged()
  const input = useRef<HTMLInputElement>(null)
  const [file, setFile] = useState<File>()
  const [working, setWorking] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const [got, setGot] = useState<Schemas['Imported']>()
  const send = async () => {
    if (!file) return
    setWorking(true)
    setError(null)
    try {
      const { data } = await call.POST('/api/v1/exceptions/vex', { params: { query: { target } }, body: file as never, bodySerializer: (b) => b, headers: { 'Content-Type': 'application/json' } })
      setGot(data)
      await changed()
    } catch (e) {
      setError(e)
    } finally {
      setWorking(false)
    }
  }
  return (
    <Modal
      open
      title={t('importVex')}
      onCancel={close}
      footer={
        got ? (
          <Button type="primary" onClick={close}>
            {t('close')}
          </Button>
        ) : (
          <>
            <Button onClick={close}>{t('cancel')}</Button>
            <Button type="primary" disabled={!file || file.size > most} loading={working} onClick={() => void send()}>
              {t('import')}
            </Button>
          </>
        )
      }
    >
      <div className={css.form}>
        <p className={css.hint}>{t('vexHint')}</p>
        {!got && (
          <div className={css.inline}>
            <input ref={input} type="file" accept=".json,application/json" hidden onChange={(e) => setFile(e.target.files?.[0])} aria-label={t('chooseFile')} />
            <Button onClick={() => input.current?.click()}>{t('chooseFile')}</Button>
            <span>{file?.name}</span>
            {file && file.size > most && <span className={css.fault}>{t('tooLarge')}</span>}
          </div>
        )}
        {error ? <Problem error={error} /> : null}
        {got && (
          <Alert
            type={got.created.length > 0 ? 'success' : 'warning'}
            showIcon
            title={t('imported', { count: got.created.length, number: number(got.created.length), statements: number(got.statements) })}
            description={
              <>
                {got.known > 0 && <div>{t('knownAlready', { count: got.known, number: number(got.known) })}</div>}
                {got.skipped.length > 0 && (
                  <ul className={css.targets}>
                    {got.skipped.slice(0, 20).map((s) => (
                      <li key={s}>{s}</li>
                    ))}
                  </ul>
                )}
              </>
            }
          />
        )}
      </div>
    </Modal>
  )
}
