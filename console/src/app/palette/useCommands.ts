import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import { useAppearance } from '../appearance'
import { useMay, useProfile } from '../session'
import type { Option } from './results'
import { call } from '../../api/client'
import { language, setLanguage } from '../../text/start'

// pages are the places that the palette goes to, by their words in the navigation.
const pages = [
  ['/', 'overview'],
  ['/risks', 'risks'],
  ['/exceptions', 'exceptions'],
  ['/rules', 'rules'],
  ['/assets/clusters', 'clusters'],
  ['/assets/namespaces', 'namespaces'],
  ['/assets/workloads', 'workloads'],
  ['/assets/nodes', 'nodes'],
  ['/assets/components', 'components'],
  ['/gaps', 'gaps'],
  ['/attack-paths', 'attack'],
  ['/scans', 'scans'],
  ['/schedules', 'schedules'],
  ['/images', 'images'],
  ['/compliance', 'compliance'],
  ['/iac', 'iac'],
  ['/reports', 'reports'],
  ['/integrations/channels', 'channels'],
  ['/integrations/registries', 'registries'],
  ['/settings/profile', 'settings'],
] as const

// useCommands are the things that the palette does beside searching.
export function useCommands(): Option[] {
  const { t } = useTranslation('palette')
  const { t: app } = useTranslation('app')
  const { mode, setMode } = useAppearance()
  const mayScan = useMay('scan')
  const { user } = useProfile()
  return useMemo(() => {
    const command = (id: string, title: string, rest: Partial<Option>): Option => ({ id: 'command:' + id, kind: 'command', title, ...rest })
    const out = pages.map(([to, name]) => command(to, t('goTo', { page: app(`nav.${name}`) }), { go: { to } }))
    if (mayScan) out.push(command('scan', t('startScan'), { go: { to: '/scans', search: { new: 'true' } } }))
    const other = language() === 'zh' ? 'en' : 'zh'
    out.push(
      command('language', t('otherLanguage'), {
        run: () => {
          void setLanguage(other)
          if (user) void call.PATCH('/api/v1/session', { body: { language: other } })
        },
      }),
      command('theme', mode === 'dark' ? app('light') : app('dark'), { run: () => setMode(mode === 'dark' ? 'light' : 'dark') }),
    )
    return out
  }, [t, app, mode, setMode, mayScan, user])
}
