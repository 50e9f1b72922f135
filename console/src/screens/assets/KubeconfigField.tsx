import { UploadOutlined } from '@ant-design/icons'
import { Button, Input } from 'antd'
import { useRef } from 'react'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'

type Props = { value?: string; onChange?: (text: string) => void; id?: string }

const most = 1 << 20

// KubeconfigField takes a kubeconfig as text or as a file. It is a field of a form.
export function KubeconfigField({ value, onChange, id }: Props) {
  const { t } = useTranslation('assets')
  const file = useRef<HTMLInputElement>(null)
  const take = async (f: File | undefined) => {
    if (f) onChange?.((await f.slice(0, most).text()).trimEnd())
    if (file.current) file.current.value = ''
  }
  return (
    <div className={css.stack}>
      <Input.TextArea id={id} value={value} onChange={(e) => onChange?.(e.target.value)} rows={7} maxLength={most} spellCheck={false} autoComplete="off" className={css.code} placeholder={'apiVersion: v1\nkind: Config\nclusters: …'} />
      <div>
        <Button icon={<UploadOutlined />} onClick={() => file.current?.click()}>
          {t('chooseFile')}
        </Button>
        <input ref={file} type="file" className={css.hiddenFile} tabIndex={-1} aria-label={t('chooseFile')} onChange={(e) => void take(e.target.files?.[0])} />
      </div>
    </div>
  )
}
