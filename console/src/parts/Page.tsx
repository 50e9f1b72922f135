import { Breadcrumb } from 'antd'
import { Link } from '@tanstack/react-router'
import { useEffect, type ReactNode } from 'react'

import css from './Page.module.css'

type Props = {
  title: string
  lead?: ReactNode // a line below the title: what this page shows
  actions?: ReactNode
  parents?: { title: string; to: string }[] // pages above this one
  children?: ReactNode
}

// Page is the frame of every screen: one h1, the window's title, actions at the right.
export function Page({ title, lead, actions, parents, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Stockade`
  }, [title])
  return (
    <div className={css.page}>
      {parents && <Breadcrumb items={[...parents.map((p) => ({ title: <Link to={p.to}>{p.title}</Link> })), { title: <span className={css.here}>{title}</span> }]} />}
      <header className={css.header}>
        <div className={css.title}>
          <h1>{title}</h1>
          {lead && <div className={css.lead}>{lead}</div>}
        </div>
        {actions && <div className={css.actions}>{actions}</div>}
      </header>
      {children}
    </div>
  )
}

type PanelProps = { title?: string; extra?: ReactNode; children: ReactNode; className?: string }

// Panel is a titled box on a page.
export function Panel({ title, extra, children, className }: PanelProps) {
  return (
    <section className={`${css.panel} ${className ?? ''}`} aria-label={title}>
      {(title || extra) && (
        <div className={css.panelHead}>
          {title && <h2>{title}</h2>}
          {extra && <div className={css.actions}>{extra}</div>}
        </div>
      )}
      {children}
    </section>
  )
}
