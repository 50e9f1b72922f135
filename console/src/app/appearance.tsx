// Theme, width of the window, time zone: what all pages look at.
import { ConfigProvider, App as AntApp } from 'antd'
import type { Locale } from 'antd/es/locale'
import en from 'antd/es/locale/en_US'
import { createContext, useContext, useEffect, useMemo, useState, useSyncExternalStore, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { themeOf, variablesOf, type Mode } from './theme'
import { setTimeZone, timeZone } from '../text/format'

type Appearance = { mode: Mode; setMode: (mode: Mode | '') => void; narrow: boolean; zone: string; setZone: (zone: string) => void }

const context = createContext<Appearance | null>(null)

export function useAppearance(): Appearance {
  const value = useContext(context)
  if (!value) throw new Error('no appearance outside of the application')
  return value
}

function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (on) => {
      const list = matchMedia(query)
      list.addEventListener('change', on)
      return () => list.removeEventListener('change', on)
    },
    () => matchMedia(query).matches,
  )
}

const nonce = document.querySelector<HTMLMetaElement>('meta[name="style-nonce"]')?.content

export function AppearanceProvider({ children }: { children: ReactNode }) {
  const { i18n } = useTranslation()
  const dark = useMedia('(prefers-color-scheme: dark)')
  const narrow = useMedia('(max-width: 900px)')
  const [chosen, choose] = useState(() => localStorage.getItem('theme') ?? '')
  const [zone, setZone] = useState(timeZone)
  const [chinese, setChinese] = useState<Locale | null>(null)
  const mode: Mode = chosen === 'dark' || chosen === 'light' ? chosen : dark ? 'dark' : 'light'
  useEffect(() => {
    if (i18n.language === 'zh') void import('antd/es/locale/zh_CN').then((m) => setChinese(m.default))
  }, [i18n.language])
  useEffect(() => {
    for (const [name, value] of Object.entries(variablesOf(mode))) document.documentElement.style.setProperty(name, value)
    document.documentElement.style.colorScheme = mode
  }, [mode])
  const value = useMemo<Appearance>(
    () => ({
      mode,
      narrow,
      zone,
      setMode: (m) => {
        localStorage.setItem('theme', m)
        choose(m)
      },
      setZone: (z) => {
        localStorage.setItem('zone', z)
        setTimeZone(z)
        setZone(z)
      },
    }),
    [mode, narrow, zone],
  )
  return (
    <context.Provider value={value}>
      <ConfigProvider locale={i18n.language === 'zh' && chinese ? chinese : en} theme={themeOf(mode)} csp={{ nonce }} button={{ autoInsertSpace: false }}>
        <AntApp>{children}</AntApp>
      </ConfigProvider>
    </context.Provider>
  )
}
