import { Outlet, useRouterState } from '@tanstack/react-router'
import { Alert, Drawer, Layout } from 'antd'
import { lazy, Suspense, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { Header } from './Header'
import { Navigation } from './Navigation'
import { PageSkeleton } from './PageSkeleton'
import { useRenewal } from './useRenewal'
import { ProfileProvider, useSession } from './session'
import css from './Shell.module.css'
import { useAppearance } from './appearance'
import { renewal } from './renewal'
import { ScopeBar } from './ScopeBar'
import { Failed } from '../api/client'
import { Problem } from '../parts/Problem'
import { setLanguage } from '../text/start'

const Palette = lazy(() => import('./palette/Palette'))
const SignInAgain = lazy(() => import('../screens/signin/SignInAgain'))

// Shell is what stands around every page of who is signed in.
export function Shell() {
  const { t } = useTranslation('app')
  const session = useSession()
  const path = useRouterState({ select: (s) => s.location.pathname })
  const [menu, setMenu] = useState(false)
  const { narrow } = useAppearance()
  const ended = useRenewal()

  const user = session.data?.user
  useEffect(() => {
    renewal.begin(Boolean(user))
    if (user?.language === 'en' || user?.language === 'zh') void setLanguage(user.language)
  }, [user])
  const unknown = session.error instanceof Failed && session.error.status === 401
  useEffect(() => {
    if (unknown) location.replace('/sign-in?next=' + encodeURIComponent(location.pathname + location.search))
  }, [unknown])
  const [shown, setShown] = useState(path)
  if (shown !== path) {
    setShown(path)
    setMenu(false) // a page was chosen
  }

  if (session.error && !unknown) return <Problem error={session.error} retry={() => void session.refetch()} />
  if (!session.data) return <PageSkeleton />
  return (
    <ProfileProvider value={session.data}>
      <a className={css.skip} href="#main">
        {t('skip')}
      </a>
      <Layout className={css.layout}>
        {narrow ? (
          <Drawer open={menu} onClose={() => setMenu(false)} placement="left" size={264} title="Stockade" classNames={{ body: css.menuBody }}>
            <Navigation path={path} />
          </Drawer>
        ) : (
          <Layout.Sider width={208} className={css.sider}>
            <div className={css.brand}>
              <img src="/mark.svg" alt="" width={26} height={26} />
              Stockade
            </div>
            <Navigation path={path} />
          </Layout.Sider>
        )}
        <Layout className={css.body}>
          <Header onMenu={narrow ? () => setMenu(true) : undefined} />
          <ScopeBar path={path} />
          <main id="main" tabIndex={-1} className={css.main}>
            {session.data.via === 'token' && <Alert type="info" title={t('viaToken')} banner />}
            <Suspense fallback={<PageSkeleton />}>
              <Outlet />
            </Suspense>
          </main>
        </Layout>
      </Layout>
      <Suspense>
        <Palette />
        {ended && <SignInAgain name={user?.name ?? ''} />}
      </Suspense>
    </ProfileProvider>
  )
}
