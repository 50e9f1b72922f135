import { ReloadOutlined } from '@ant-design/icons'
import { Button, Skeleton, Switch } from 'antd'
import { keepPreviousData } from '@tanstack/react-query'
import { lazy, Suspense, useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import css from './AttackPaths.module.css'
import { Cuts } from './Cuts'
import { Gaps } from './Gaps'
import { closed, drawn, ended, opened, part, through, type Body } from './model'
import { None } from './None'
import { PathList } from './PathList'
import { Summary } from './Summary'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, useScope } from '../../app/scope'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'

const Graph = lazy(() => import('./Graph'))

export default function AttackPaths() {
  const { t } = useTranslation('attack')
  const [scope] = useScope()
  const [search, setUrl] = useUrl()
  const assume = search.assume === 'true'
  useLive(['task'], ['/api/v1/attack-paths'])
  const query = api.useQuery(
    'get',
    '/api/v1/attack-paths',
    { params: { query: { target: numbers(scope.target), namespace: scope.namespace.length > 0 ? scope.namespace : undefined, assume: assume || undefined, limit: 100 } } },
    { placeholderData: keepPreviousData },
  )
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        <>
          <label className={css.assume} title={t('assumeHint')}>
            <Switch size="small" checked={assume} onChange={(on) => setUrl({ assume: on, path: undefined, cut: undefined, node: undefined })} aria-label={t('assume')} />
            <span aria-hidden>{t('assume')}</span>
          </label>
          <Button type="text" icon={<ReloadOutlined spin={query.isFetching} />} aria-label={t('refresh')} onClick={() => void query.refetch()} />
        </>
      }
    >
      {query.isError && <Problem error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Skeleton active paragraph={{ rows: 14 }} />}
      {query.data && <Paths body={query.data} assume={assume} search={search} setUrl={setUrl} />}
    </Page>
  )
}

type Props = { body: Body; assume: boolean; search: Record<string, string | undefined>; setUrl: ReturnType<typeof useUrl>[1] }

// Paths is the graph with the ranked list, the advice and what was not looked at.
function Paths({ body, assume, search, setUrl }: Props) {
  const { t } = useTranslation('attack')
  const node = body.nodes.some((n) => n.id === search.node) ? search.node : undefined
  const cut = body.cuts.find((c) => c.id === search.cut)
  const whole = !search.namespace && !body.gaps.some((g) => g.code === 'hidden')
  const listed = useMemo(() => through(body, node), [body, node])
  const open = opened(listed, search.path)
  const graph = useMemo(() => {
    const paths = listed.slice(0, drawn)
    return part(body, open && !paths.includes(open) ? [...paths, open] : paths)
  }, [body, listed, open])
  const lit = useMemo(() => new Set(open?.steps ?? []), [open])
  const cutEdges = useMemo(() => new Set(cut?.edges ?? []), [cut])
  const targets = useMemo(() => new Map(body.graphs.map((g) => [g.targetId, g.target])), [body])
  if (body.total === 0)
    return (
      <>
        {body.graphs.length > 0 && <Summary body={body} whole={whole} />}
        <None body={body} assumed={assume} />
        <Gaps body={body} />
      </>
    )
  const chosen = node ? body.nodes.find((n) => n.id === node) : undefined
  return (
    <>
      <Summary body={body} whole={whole} />
      <div className={css.columns}>
        <section className={css.left} aria-label={t('graph')}>
          <Suspense fallback={<Skeleton.Node active className={css.waiting} />}>
            <Graph nodes={graph.nodes} edges={graph.edges} lit={lit} cut={cutEdges} chosen={node} choose={(id) => setUrl({ node: id, path: undefined }, true)} />
          </Suspense>
          {listed.length > drawn && <p className={css.soft}>{t('drawn', { count: drawn })}</p>}
        </section>
        <section className={css.right} aria-label={t('ranked')}>
          <h2 className="unseen">{t('ranked')}</h2>
          {chosen && (
            <p className={css.filter}>
              {t('throughNode', { name: chosen.label })}{' '}
              <Button size="small" onClick={() => setUrl({ node: undefined }, true)}>
                {t('showAll')}
              </Button>
            </p>
          )}
          <PathList body={body} paths={listed} open={open?.id} ended={ended(cut)} choose={(id) => setUrl({ path: id ?? closed }, true)} />
        </section>
      </div>
      <Cuts cuts={body.cuts} several={body.graphs.length > 1} targets={targets} open={cut?.id} choose={(id) => setUrl({ cut: id }, true)} />
      <Gaps body={body} />
    </>
  )
}
