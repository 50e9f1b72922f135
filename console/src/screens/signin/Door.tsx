import { GlobalOutlined } from '@ant-design/icons'
import { Button } from 'antd'
import { useEffect, type ReactNode } from 'react'

import css from './Door.module.css'
import { language, setLanguage } from '../../text/start'

// Door is the frame of the pages before the sign-in.
export function Door({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Stockade`
  }, [title])
  const other = language() === 'zh' ? 'en' : 'zh'
  return (
    <main className={css.door}>
      <div className={css.box}>
        <div className={css.brand}>
          <img src="/mark.svg" alt="" width={34} height={34} />
          Stockade
        </div>
        <h1>{title}</h1>
        {children}
        <Button type="text" icon={<GlobalOutlined />} onClick={() => void setLanguage(other)}>
          {other === 'zh' ? '中文' : 'English'}
        </Button>
      </div>
    </main>
  )
}
