import { LeftOutlined, RightOutlined } from '@ant-design/icons'
import { Alert, Button, Skeleton } from 'antd'
import { useEffect, useMemo, useRef } from 'react'
import { useTranslation } from 'react-i18next'

import { byLine, chosen, isActive, step, type FileFinding } from './findings'
import css from './iac.module.css'
import { api } from '../../api/client'
import { CodeView } from '../../parts/CodeView'
import { Problem } from '../../parts/Problem'
import { SeverityTag } from '../../parts/Severity'
import { useUrl } from '../../parts/search'
import { useFormat } from '../../text/format'

// useFile reads a file and which of its findings the address names.
export function useFile(project: string, path: string) {
  const [search] = useUrl()
  const query = api.useQuery('get', '/api/v1/projects/{name}/file', { params: { path: { name: project }, query: { path } } }, { enabled: path !== '' })
  const findings = useMemo(() => query.data?.findings ?? [], [query.data])
  return { query, findings, selected: chosen(findings, search.finding, search.line) }
}

type Props = { path: string; file: ReturnType<typeof useFile>; onNextFile: (by: 1 | -1) => void }

// FileView shows a file with its findings at their lines. N and P, or the buttons, go from finding to finding, and on to the next file.
export function FileView({ path, file, onNextFile }: Props) {
  const { t } = useTranslation(['iac', 'words'])
  const { bytes, number } = useFormat()
  const [search, set] = useUrl()
  const { query, findings, selected } = file
  const select = (f: FileFinding) => set({ finding: f.id, line: f.line || undefined }, true)
  const go = (by: 1 | -1) => {
    const next = step(findings, selected, by)
    if (next) select(next)
    else onNextFile(by)
  }
  const latest = useRef(go)
  useEffect(() => {
    latest.current = go
  })
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const at = e.target as HTMLElement
      if (e.ctrlKey || e.metaKey || e.altKey || at.closest('input,textarea,select,[contenteditable],[role=dialog]')) return
      if (e.key === 'n') latest.current(1)
      else if (e.key === 'p') latest.current(-1)
      else return
      e.preventDefault()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  if (!query.data) return <Skeleton active paragraph={{ rows: 16 }} />
  const data = query.data
  const open = findings.filter(isActive).length
  const note = (f: FileFinding) => (
    <button type="button" className={css.note} aria-pressed={f.id === selected?.id} onClick={() => select(f)} data-finding={f.id}>
      <SeverityTag severity={f.severity} />
      <span>{f.title}</span>
      {!isActive(f) && <span className={css.soft}>({t(`words:status.${f.status as 'ignored'}`)})</span>}
    </button>
  )
  const marks = [...byLine(findings)].map(([line, list]) => ({ line, note: list.map((f) => <div key={f.id}>{note(f)}</div>) }))
  const whole = findings.filter((f) => f.line <= 0)
  return (
    <section className={css.stack} aria-label={path}>
      <div className={css.bar}>
        <span className={css.path}>{path}</span>
        <span className={css.row}>
          <span className={css.soft}>
            {t(`types.${data.type}`)} · {bytes(data.size)} · {t('findingsOf', { count: open, number: number(open) })}
          </span>
          <Button size="small" icon={<LeftOutlined />} onClick={() => go(-1)} aria-keyshortcuts="p">
            {t('previous')}
          </Button>
          <Button size="small" icon={<RightOutlined />} iconPlacement="end" onClick={() => go(1)} aria-keyshortcuts="n">
            {t('next')}
          </Button>
        </span>
      </div>
      {data.findingsCut && <Alert type="warning" showIcon title={t('cut')} />}
      {whole.map((f) => (
        <div key={f.id}>{note(f)}</div>
      ))}
      {data.note ? (
        <Alert type="info" showIcon title={t('noText')} description={t(`notes.${data.note}`)} />
      ) : (
        <CodeView
          label={t('textOf', { path })}
          text={data.text ?? ''}
          firstLine={data.firstLine}
          marks={marks}
          focus={selected?.line || Number(search.line) || undefined}
          height="calc(100vh - 300px)"
          onLine={(line) => {
            const f = findings.find((x) => x.line === line)
            if (f) select(f)
          }}
        />
      )}
      {data.note && findings.filter((f) => f.line > 0).map((f) => <div key={f.id}>{note(f)}</div>)}
      <p className={css.soft}>{t('masked')}</p>
    </section>
  )
}
