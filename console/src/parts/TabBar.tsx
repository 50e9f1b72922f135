import { useRef, type KeyboardEvent, type ReactNode } from 'react'

import css from './TabBar.module.css'

export type Tab = { key: string; label: string; children: ReactNode }
type Props = { label: string; tabs: Tab[]; active: string; onChange: (key: string) => void }

// TabBar shows one of several sections. Where there is no room for all tabs they scroll sideways: nothing hides in a menu.
// Arrows, Home and End move between tabs.
export function TabBar({ label, tabs, active, onChange }: Props) {
  const bar = useRef<HTMLDivElement>(null)
  const here = Math.max(
    0,
    tabs.findIndex((tab) => tab.key === active),
  )
  const move = (e: KeyboardEvent) => {
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: tabs.length - 1 }[e.key]
    if (to === undefined) return
    e.preventDefault()
    const next = tabs[(to + tabs.length) % tabs.length]!
    onChange(next.key)
    bar.current?.querySelector<HTMLElement>(`[data-tab="${next.key}"]`)?.focus()
  }
  const section = tabs[here]
  if (!section) return null
  return (
    <div className={css.tabs}>
      <div ref={bar} role="tablist" aria-label={label} className={css.bar} onKeyDown={move}>
        {tabs.map((tab, i) => (
          <button
            key={tab.key}
            type="button"
            role="tab"
            id={`tab-${tab.key}`}
            data-tab={tab.key}
            aria-selected={i === here}
            aria-controls={i === here ? `panel-${tab.key}` : undefined}
            tabIndex={i === here ? 0 : -1}
            className={i === here ? css.here : undefined}
            onClick={() => onChange(tab.key)}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`panel-${section.key}`} aria-labelledby={`tab-${section.key}`}>
        {section.children}
      </div>
    </div>
  )
}
