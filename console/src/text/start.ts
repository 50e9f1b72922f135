// Texts of both languages. Each folder with texts has an en.json and a zh.json; the folder's name is the namespace. One language is
// one file to load, fetched when it is wanted.
import dayjs from 'dayjs'
import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'

import type { Language } from './detected'
import { queries, speak } from '../api/client'

export { detected, type Language } from './detected'


type Texts = Record<string, object>

const loaders: Record<Language, () => Promise<{ texts: Texts }>> = { en: () => import('./en'), zh: () => import('./zh') }
const tags: Record<Language, string> = { en: 'en', zh: 'zh-CN' }

export async function startTexts(language: Language) {
  await i18next.use(initReactI18next).init({ lng: language, fallbackLng: false, resources: {}, defaultNS: 'app', interpolation: { escapeValue: false }, returnNull: false })
  await setLanguage(language)
}

// setLanguage loads a language and shows it. Texts that the server wrote are read again.
export async function setLanguage(language: Language) {
  const { texts } = await loaders[language]()
  for (const [namespace, bundle] of Object.entries(texts)) i18next.addResourceBundle(language, namespace, bundle, true, true)
  if (language === 'zh') await import('dayjs/locale/zh-cn')
  dayjs.locale(tags[language].toLowerCase())
  speak(language)
  document.documentElement.lang = tags[language]
  localStorage.setItem('language', language)
  if (i18next.language !== language) {
    await i18next.changeLanguage(language)
    await queries.invalidateQueries()
  }
}

export function language(): Language {
  return i18next.language === 'zh' ? 'zh' : 'en'
}
