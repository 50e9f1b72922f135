import { DeleteOutlined, StarFilled, StarOutlined } from '@ant-design/icons'
import { Link, useNavigate } from '@tanstack/react-router'
import { Button, Input, Popover } from 'antd'
import { useEffect, useRef, useState, type FormEvent } from 'react'
import { useTranslation } from 'react-i18next'

import css from './SavedViews.module.css'
import { checked, current, noViews, preferred, removed, saved, type Views } from './views'
import { usePreference } from '../../app/preference'
import { Copy } from '../../parts/Copy'
import type { Search } from '../../parts/search'

// SavedViews keeps filters under names, and opens the page with the preferred one.
export function SavedViews({ search }: { search: Search }) {
  const { t } = useTranslation('risks')
  const [value, set] = usePreference<Views>('views.risks', noViews)
  const views = checked(value)
  const [open, setOpen] = useState(false)
  const [name, setName] = useState('')
  useFirst(views, search)
  const now = current(views, search)
  const save = (e: FormEvent) => {
    e.preventDefault()
    if (!name.trim()) return
    set(saved(views, name, search))
    setName('')
  }
  const content = (
    <div className={css.box}>
      {views.list.length === 0 && <p className={css.hint}>{t('noViews')}</p>}
      <ul>
        {views.list.map((v) => (
          <li key={v.name}>
            <Link to="/risks" search={v.search} onClick={() => setOpen(false)} aria-current={v === now ? 'true' : undefined} activeOptions={{ exact: true, includeSearch: true }}>
              {v.name}
            </Link>
            <Button
              size="small"
              type="text"
              icon={views.first === v.name ? <StarFilled /> : <StarOutlined />}
              aria-label={t('openWith', { name: v.name })}
              aria-pressed={views.first === v.name}
              onClick={() => set(preferred(views, v.name))}
            />
            <Button size="small" type="text" icon={<DeleteOutlined />} aria-label={t('deleteView', { name: v.name })} onClick={() => set(removed(views, v.name))} />
          </li>
        ))}
      </ul>
      <form onSubmit={save} className={css.form}>
        <Input aria-label={t('viewName')} placeholder={t('viewName')} value={name} maxLength={60} onChange={(e) => setName(e.target.value)} />
        <Button htmlType="submit" type="primary" disabled={!name.trim()}>
          {t('saveView')}
        </Button>
      </form>
      <Copy text={location.href} label={t('copyLink')} />
    </div>
  )
  return (
    <Popover trigger="click" placement="bottomRight" open={open} onOpenChange={setOpen} content={content}>
      <Button>{now ? now.name : t('savedViews')}</Button>
    </Popover>
  )
}

// useFirst opens the preferred view when the page was opened without any filter, once.
function useFirst(views: Views, search: Search) {
  const navigate = useNavigate()
  const done = useRef(Object.keys(search).length > 0)
  const first = views.list.find((v) => v.name === views.first)
  useEffect(() => {
    if (done.current || !first) return
    done.current = true
    void navigate({ to: '/risks', search: first.search, replace: true })
  }, [first, navigate])
}
