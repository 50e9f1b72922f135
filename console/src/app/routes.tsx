// All pages of the console. Each is loaded when it is opened; the filters of a page stand in the URL as plain words.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router'

import { NotFound } from './NotFound'
import { PageProblem } from './PageProblem'
import { Shell } from './Shell'

type Search = Record<string, string | undefined>

const root = createRootRoute({
  component: Outlet,
  notFoundComponent: NotFound,
  errorComponent: PageProblem,
  validateSearch: (search: Record<string, unknown>): Search => search as Search,
})

const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: Shell })

type Load = Parameters<typeof lazyRouteComponent>[0]

function page<P extends string>(path: P, load: Load) {
  return createRoute({ getParentRoute: () => shell, path, component: lazyRouteComponent(load) })
}

// moved sends an address on to the page that has it now, with its search.
function moved<P extends string>(path: P, to: string, change: (search: Search) => Search = (s) => s) {
  return createRoute({
    getParentRoute: () => shell,
    path,
    beforeLoad: ({ search }) => {
      throw redirect({ to, search: change(search as Search), replace: true })
    },
  })
}

const pages = [
  page('/', () => import('../screens/overview/Overview')),
  page('/risks', () => import('../screens/risks/Risks')),
  // Notifications link to /findings with the name of the parameter that they were first written with.
  moved('/findings', '/risks', ({ targets, ...rest }) => ({ view: 'findings', ...(targets ? { target: targets } : {}), ...rest })),
  page('/findings/$id', () => import('../screens/risks/FindingPage')),
  page('/exceptions', () => import('../screens/exceptions/Exceptions')),
  page('/exceptions/$id', () => import('../screens/exceptions/ExceptionPage')),
  moved('/assets', '/assets/clusters'),
  moved('/clusters', '/assets/clusters'),
  page('/assets/clusters', () => import('../screens/assets/Clusters')),
  page('/assets/namespaces', () => import('../screens/assets/Namespaces')),
  page('/assets/namespaces/$id', () => import('../screens/assets/NamespacePage')),
  page('/assets/workloads', () => import('../screens/assets/Workloads')),
  page('/assets/workloads/$id', () => import('../screens/assets/WorkloadPage')),
  page('/assets/nodes', () => import('../screens/nodes/Nodes')),
  page('/assets/nodes/$id', () => import('../screens/nodes/AssetNode')), // by the id that findings have
  moved('/nodes', '/assets/nodes'),
  page('/nodes/$id', () => import('../screens/nodes/NodePage')),
  page('/assets/components', () => import('../screens/assets/ComponentsPage')),
  page('/clusters/$id', () => import('../screens/assets/ClusterPage')),
  page('/gaps', () => import('../screens/assets/Gaps')),
  page('/emergencies', () => import('../screens/emergencies/Emergencies')),
  page('/emergencies/$id', () => import('../screens/emergencies/EmergencyPage')),
  page('/attack-paths', () => import('../screens/attack/AttackPaths')),
  moved('/protection', '/protection/clusters'),
  page('/protection/clusters', () => import('../screens/protection/Clusters')),
  page('/protection/clusters/$id', () => import('../screens/protection/ClusterPage')),
  page('/protection/health', () => import('../screens/protection/HealthPage')),
  page('/protection/policies', () => import('../screens/policies/Policies')),
  page('/protection/policies/new', () => import('../screens/policies/PolicyEdit')),
  page('/protection/policies/$id', () => import('../screens/policies/PolicyPage')),
  page('/protection/policies/$id/edit', () => import('../screens/policies/PolicyEdit')),
  page('/protection/templates', () => import('../screens/policies/Templates')),
  page('/protection/templates/$name', () => import('../screens/policies/TemplateEdit')),
  page('/protection/preview', () => import('../screens/policies/PreviewPage')),
  page('/protection/events', () => import('../screens/admission/Events')),
  page('/protection/events/$id', () => import('../screens/admission/EventPage')),
  page('/protection/unchecked', () => import('../screens/admission/Unchecked')),
  // Refusals of clusters link here.
  page('/protection/why', () => import('../screens/admission/Why')),
  page('/scans', () => import('../screens/scans/Scans')),
  moved('/tasks', '/scans'),
  page('/tasks/$id', () => import('../screens/scans/TaskPage')),
  page('/schedules', () => import('../screens/scans/Schedules')),
  page('/images', () => import('../screens/images/Images')),
  page('/images/$digest', () => import('../screens/images/ImagePage')),
  page('/compliance', () => import('../screens/compliance/Compliance')),
  page('/compliance/$framework', () => import('../screens/compliance/FrameworkPage')),
  page('/iac', () => import('../screens/iac/Projects')),
  page('/iac/$project', () => import('../screens/iac/ProjectPage')),
  page('/reports', () => import('../screens/reports/Reports')),
  page('/reports/$id', () => import('../screens/reports/ReportPage')),
  moved('/integrations', '/integrations/channels'),
  page('/integrations/$section', () => import('../screens/integrations/Integrations')),
  moved('/settings', '/settings/profile'),
  page('/settings/$section', () => import('../screens/settings/Settings')),
  page('/rules', () => import('../screens/rules/Rules')),
  page('/rules/$family/$rule', () => import('../screens/rules/RulePage')),
  page('/vulnerabilities/$id', () => import('../screens/rules/VulnerabilityPage')),
]

// Pages of who is not signed in.
const open = [
  createRoute({ getParentRoute: () => root, path: '/sign-in', component: lazyRouteComponent(() => import('../screens/signin/SignIn')) }),
  createRoute({ getParentRoute: () => root, path: '/setup', component: lazyRouteComponent(() => import('../screens/signin/SetUp')) }),
  createRoute({ getParentRoute: () => root, path: '/reset', component: lazyRouteComponent(() => import('../screens/signin/Reset')) }),
]

export const router = createRouter({
  routeTree: root.addChildren([shell.addChildren(pages), ...open]),
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search) => {
    const out = new URLSearchParams()
    for (const [key, value] of Object.entries(search as Search)) if (value !== undefined && value !== '') out.set(key, value)
    const text = out.toString().replaceAll('%2C', ',')
    return text ? `?${text}` : ''
  },
  pathParamsAllowedCharacters: [':'],
  scrollRestoration: true,
  defaultPreload: 'intent',
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
