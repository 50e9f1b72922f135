import { FolderOpenOutlined, UploadOutlined } from '@ant-design/icons'
import { App, Button } from 'antd'
import { createContext, lazy, Suspense, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { fromDrop, fromInput, isEmpty, type Gathered } from './dropped'
import css from './iac.module.css'

const UploadDialog = lazy(() => import('./UploadDialog'))

const context = createContext<{ files: () => void; folder: () => void } | null>(null)

type Props = { may: boolean; project?: string; children: ReactNode }

// Uploads takes files that are dropped anywhere on the page, or chosen with UploadButtons below it, and asks what to do with them.
export function Uploads({ may, project, children }: Props) {
  const { t } = useTranslation('iac')
  const { message } = App.useApp()
  const [over, setOver] = useState(false)
  const [gathered, setGathered] = useState<Gathered | null>(null)
  const files = useRef<HTMLInputElement>(null)
  const folder = useRef<HTMLInputElement>(null)
  const nothing = t('nothingToSend')
  useEffect(() => {
    if (!may) return
    let depth = 0
    const carries = (e: DragEvent) => e.dataTransfer?.types.includes('Files') ?? false
    const enter = (e: DragEvent) => {
      if (carries(e) && ++depth > 0) setOver(true)
    }
    const leave = (e: DragEvent) => {
      if (carries(e) && --depth <= 0) setOver(false)
    }
    const hold = (e: DragEvent) => carries(e) && e.preventDefault()
    const drop = (e: DragEvent) => {
      if (!carries(e) || !e.dataTransfer) return
      e.preventDefault()
      depth = 0
      setOver(false)
      void fromDrop(e.dataTransfer).then((g) => {
        if (isEmpty(g) && g.left.length === 0) void message.warning(nothing)
        else setGathered(g)
      })
    }
    const on = { dragenter: enter, dragleave: leave, dragover: hold, drop } as const
    for (const [name, f] of Object.entries(on)) window.addEventListener(name as 'drop', f)
    return () => {
      for (const [name, f] of Object.entries(on)) window.removeEventListener(name as 'drop', f)
    }
  }, [may, message, nothing])
  useEffect(() => folder.current?.setAttribute('webkitdirectory', ''), [may])
  const choose = (input: HTMLInputElement) => {
    const g = fromInput(input.files ?? [])
    input.value = '' // the same files can be chosen again
    if (isEmpty(g) && g.left.length === 0) void message.warning(nothing)
    else setGathered(g)
  }
  const value = useMemo(() => (may ? { files: () => files.current?.click(), folder: () => folder.current?.click() } : null), [may])
  return (
    <context.Provider value={value}>
      {children}
      {may && (
        <>
          <input ref={files} type="file" multiple className={css.fileInput} aria-label={t('chooseFiles')} data-testid="files" onChange={(e) => choose(e.target)} />
          <input ref={folder} type="file" multiple className={css.fileInput} aria-label={t('chooseFolder')} data-testid="folder" onChange={(e) => choose(e.target)} />
          {over && <div className={css.overlay}>{project ? t('dropHereFor', { name: project }) : t('dropHere')}</div>}
          <Suspense>{gathered && <UploadDialog gathered={gathered} project={project} onClose={() => setGathered(null)} />}</Suspense>
        </>
      )}
    </context.Provider>
  )
}

// UploadButtons do with the keyboard what dropping does with the mouse.
export function UploadButtons() {
  const { t } = useTranslation('iac')
  const choose = useContext(context)
  if (!choose) return null
  return (
    <>
      <Button type="primary" icon={<UploadOutlined />} onClick={choose.files}>
        {t('uploadFiles')}
      </Button>
      <Button icon={<FolderOpenOutlined />} onClick={choose.folder}>
        {t('uploadFolder')}
      </Button>
    </>
  )
}
