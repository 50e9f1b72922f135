import { GlobalOutlined, LogoutOutlined, MenuOutlined, MoonOutlined, SearchOutlined, SunOutlined, UserOutlined } from '@ant-design/icons'
import { Link } from '@tanstack/react-router'
import { Button, Dropdown } from 'antd'
import { useTranslation } from 'react-i18next'

import { useAppearance } from './appearance'
import { openPalette } from './palette/open'
import { renewal } from './renewal'
import { useProfile } from './session'
import css from './Shell.module.css'
import { call } from '../api/client'
import { language, setLanguage } from '../text/start'

// Header has the finder, language, theme and the user's menu.
export function Header({ onMenu }: { onMenu?: () => void }) {
  const { t } = useTranslation('app')
  const profile = useProfile()
  const { mode, setMode, narrow } = useAppearance()
  const choose = async (lang: 'en' | 'zh') => {
    await setLanguage(lang)
    if (profile.user) await call.PATCH('/api/v1/session', { body: { language: lang } })
  }
  const signOut = async () => {
    renewal.begin(false)
    await call.DELETE('/api/v1/session')
    location.assign('/sign-in')
  }
  return (
    <header className={css.header}>
      {onMenu && <Button type="text" icon={<MenuOutlined />} aria-label={t('menu')} onClick={onMenu} />}
      <Button className={css.finder} icon={<SearchOutlined />} onClick={openPalette} aria-label={`${t('find')}: ${t('findHint')} Ctrl K`}>
        <span>{t('findHint')}</span>
        <kbd className={css.keys}>Ctrl K</kbd>
      </Button>
      <div className={css.gap} />
      <Button type="text" icon={<GlobalOutlined />} onClick={() => void choose(language() === 'zh' ? 'en' : 'zh')} aria-label={language() === 'zh' ? 'English' : '切换到中文'}>
        {narrow ? undefined : language() === 'zh' ? 'English' : '中文'}
      </Button>
      <Button type="text" icon={mode === 'dark' ? <SunOutlined /> : <MoonOutlined />} aria-label={mode === 'dark' ? t('light') : t('dark')} onClick={() => setMode(mode === 'dark' ? 'light' : 'dark')} />
      <Dropdown
        trigger={['click']}
        menu={{
          items: [
            { key: 'profile', icon: <UserOutlined />, label: <Link to="/settings/$section" params={{ section: 'profile' }}>{t('profile')}</Link> },
            { key: 'out', icon: <LogoutOutlined />, label: t('signOut'), onClick: () => void signOut() },
          ],
        }}
      >
        <Button type="text" icon={<UserOutlined />} aria-label={t('account', { name: profile.user?.name ?? '' })}>
          {narrow ? undefined : profile.user?.displayName || profile.user?.name}
        </Button>
      </Dropdown>
    </header>
  )
}
