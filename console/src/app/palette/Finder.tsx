import { SearchOutlined } from '@ant-design/icons'
import { keepPreviousData } from '@tanstack/react-query'
import { Input, type InputRef } from 'antd'
import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react'
import { useTranslation } from 'react-i18next'

import { usePreference } from '../preference'
import { OptionRow } from './OptionRow'
import css from './Palette.module.css'
import { matching, optionsOf, readRecent, remember, step, type Group, type Option } from './results'
import { useCommands } from './useCommands'
import { api } from '../../api/client'

const listId = 'palette-list'

// Finder is the field and the list below it: a combobox with a listbox of groups.
export function Finder({ onChoose }: { onChoose: (option: Option) => void }) {
  const { t } = useTranslation('palette')
  const [text, setText] = useState('')
  const [asked, setAsked] = useState('')
  const [at, setAt] = useState(0)
  const [kept, keep] = usePreference<unknown>('palette.recent', [])
  const field = useRef<InputRef>(null)
  const commands = useCommands()
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text.trim()), 120)
    return () => clearTimeout(timer)
  }, [text])
  useEffect(() => field.current?.focus(), [])
  const query = api.useQuery('get', '/api/v1/search', { params: { query: { q: asked, limit: 6 } } }, { enabled: asked !== '', placeholderData: keepPreviousData })
  const waiting = text.trim() !== '' && (asked !== text.trim() || query.isFetching)

  const groups = useMemo<Group[]>(() => {
    const search = text.trim()
    if (search === '') return [{ kind: 'recent' as const, options: readRecent(kept) }, { kind: 'command' as const, options: commands }].filter((g) => g.options.length > 0)
    const found = asked === '' ? [] : optionsOf(query.data?.groups ?? [])
    const done = matching(commands, search).slice(0, 5)
    return done.length > 0 ? [...found, { kind: 'command', options: done }] : found
  }, [text, asked, kept, commands, query.data])
  const all = useMemo(() => groups.flatMap((g) => g.options), [groups])
  const current = Math.min(at, all.length - 1)

  const choose = (option: Option) => {
    if (option.go && option.kind !== 'command') keep(remember(readRecent(kept), option))
    onChoose(option)
  }
  const onKey = (e: KeyboardEvent) => {
    if (e.nativeEvent.isComposing) return // an input method is at work
    if (['ArrowDown', 'ArrowUp', 'PageDown', 'PageUp'].includes(e.key)) {
      e.preventDefault()
      const next = step(current, all.length, e.key)
      setAt(next)
      document.getElementById(optionId(next))?.scrollIntoView({ block: 'nearest' })
    } else if (e.key === 'Enter' && all[current]) {
      e.preventDefault()
      choose(all[current])
    }
  }

  let n = 0
  return (
    <div>
      <Input
        ref={field}
        size="large"
        variant="borderless"
        prefix={<SearchOutlined />}
        placeholder={t('hint')}
        value={text}
        onChange={(e) => {
          setText(e.target.value)
          setAt(0)
        }}
        onKeyDown={onKey}
        role="combobox"
        aria-label={t('label')}
        aria-expanded
        aria-controls={listId}
        aria-activedescendant={current >= 0 ? optionId(current) : undefined}
        aria-autocomplete="list"
        autoComplete="off"
        spellCheck={false}
        maxLength={200}
      />
      <div id={listId} role="listbox" aria-label={t('results')} className={css.list}>
        {groups.map((g) => (
          <div key={g.kind} role="group" aria-label={t(`group.${g.kind}`)}>
            <div className={css.group} aria-hidden>
              {t(`group.${g.kind}`)}
            </div>
            {g.options.map((o) => {
              const i = n++
              return <OptionRow key={`${g.kind} ${o.id}`} id={optionId(i)} option={o} active={i === current} onHover={() => setAt(i)} onChoose={() => choose(o)} />
            })}
          </div>
        ))}
      </div>
      <div role="status" className={css.status}>
        {query.error && text.trim() ? t('failed') : waiting && all.length === 0 ? t('searching') : all.length === 0 ? t('nothing') : query.data?.searchCut ? t('cut') : ''}
      </div>
      <div className={css.keys}>
        <span>
          <kbd>↑</kbd> <kbd>↓</kbd> {t('move')}
        </span>
        <span>
          <kbd>Enter</kbd> {t('open')}
        </span>
        <span>
          <kbd>Esc</kbd> {t('close')}
        </span>
      </div>
    </div>
  )
}

const optionId = (i: number) => `palette-option-${i}`
