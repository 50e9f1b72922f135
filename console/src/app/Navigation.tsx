import {
  ApiOutlined,
  AuditOutlined,
  BranchesOutlined,
  ClusterOutlined,
  CodeOutlined,
  DashboardOutlined,
  FileTextOutlined,
  RadarChartOutlined,
  SafetyCertificateOutlined,
  SafetyOutlined,
  SettingOutlined,
  WarningOutlined,
} from '@ant-design/icons'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { searchOf, useScope } from './scope'
import css from './Shell.module.css'

type Entry = { to: string; text: 'overview' | 'risks' | 'assets' | 'attack' | 'scans' | 'protection' | 'images' | 'compliance' | 'iac' | 'reports' | 'integrations' | 'settings'; icon: typeof ApiOutlined; under?: Below[]; also?: string[] }
type Below = { to: string; text: 'emergencies' | 'exceptions' | 'rules' | 'clusters' | 'namespaces' | 'workloads' | 'nodes' | 'components' | 'gaps' | 'tasks' | 'schedules' | 'protectedClusters' | 'policies' | 'preview' | 'events' | 'unchecked' | 'health' | 'channels' | 'registries' | 'deliveries' }

// entries are the navigation. The ones below an entry show while it is open.
const entries: Entry[] = [
  { to: '/', text: 'overview', icon: DashboardOutlined },
  { to: '/risks', text: 'risks', icon: WarningOutlined, also: ['/findings', '/vulnerabilities'], under: [{ to: '/emergencies', text: 'emergencies' }, { to: '/exceptions', text: 'exceptions' }, { to: '/rules', text: 'rules' }] },
  {
    to: '/assets/clusters',
    text: 'assets',
    icon: ClusterOutlined,
    also: ['/assets', '/clusters', '/nodes'],
    under: [
      { to: '/assets/clusters', text: 'clusters' },
      { to: '/assets/namespaces', text: 'namespaces' },
      { to: '/assets/workloads', text: 'workloads' },
      { to: '/assets/nodes', text: 'nodes' },
      { to: '/assets/components', text: 'components' },
      { to: '/gaps', text: 'gaps' },
    ],
  },
  { to: '/attack-paths', text: 'attack', icon: BranchesOutlined },
  { to: '/scans', text: 'scans', icon: RadarChartOutlined, also: ['/tasks'], under: [{ to: '/scans', text: 'tasks' }, { to: '/schedules', text: 'schedules' }] },
  {
    to: '/protection/clusters',
    text: 'protection',
    icon: SafetyOutlined,
    also: ['/protection'],
    under: [
      { to: '/protection/clusters', text: 'protectedClusters' },
      { to: '/protection/policies', text: 'policies' },
      { to: '/protection/preview', text: 'preview' },
      { to: '/protection/events', text: 'events' },
      { to: '/protection/unchecked', text: 'unchecked' },
      { to: '/protection/health', text: 'health' },
    ],
  },
  { to: '/images', text: 'images', icon: FileTextOutlined },
  { to: '/compliance', text: 'compliance', icon: SafetyCertificateOutlined },
  { to: '/iac', text: 'iac', icon: CodeOutlined },
  { to: '/reports', text: 'reports', icon: AuditOutlined },
  {
    to: '/integrations/channels',
    text: 'integrations',
    icon: ApiOutlined,
    also: ['/integrations'],
    under: [
      { to: '/integrations/channels', text: 'channels' },
      { to: '/integrations/registries', text: 'registries' },
      { to: '/integrations/deliveries', text: 'deliveries' },
    ],
  },
  { to: '/settings/profile', text: 'settings', icon: SettingOutlined, also: ['/settings'] },
]

function within(path: string, to: string) {
  return path === to || (to !== '/' && path.startsWith(to + '/'))
}

export function Navigation({ path }: { path: string }) {
  const { t } = useTranslation('app')
  const [scope] = useScope()
  const search = searchOf(scope)
  return (
    <nav aria-label={t('navigation')}>
      <ul className={css.nav}>
        {entries.map((e) => {
          const here = [e.to, ...(e.also ?? []), ...(e.under ?? []).map((u) => u.to)].some((to) => within(path, to))
          const Icon = e.icon
          return (
            <li key={e.text}>
              <Link to={e.to} search={search} activeOptions={{ exact: true, includeSearch: false }} data-here={(here && !e.under?.some((u) => within(path, u.to))) || undefined}>
                <Icon aria-hidden />
                {t(`nav.${e.text}`)}
              </Link>
              {here && e.under && (
                <ul>
                  {e.under.map((u) => (
                    <li key={u.to}>
                      <Link to={u.to} search={search} activeOptions={{ includeSearch: false }} data-here={within(path, u.to) || undefined}>
                        {t(`nav.${u.text}`)}
                      </Link>
                    </li>
                  ))}
                </ul>
              )}
            </li>
          )
        })}
      </ul>
    </nav>
  )
}

