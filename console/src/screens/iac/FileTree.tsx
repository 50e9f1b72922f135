import { CaretDownOutlined, CaretRightOutlined, FileOutlined, FileTextOutlined } from '@ant-design/icons'
import { Switch } from 'antd'
import { useMemo, useRef, useState, type KeyboardEvent } from 'react'
import { useTranslation } from 'react-i18next'

import { linesOf, total, treeOf, worst, type FileRow, type Line } from './tree'
import css from './iac.module.css'
import { SeverityCounts } from '../../parts/Severity'
import { useFormat } from '../../text/format'

type Props = { files: FileRow[]; selected: string; onSelect: (path: string) => void; unlisted?: number }

const shownAtOnce = 1500 // rows; a larger tree opens with its folders closed

// FileTree shows the files of a project with how many findings each has. Arrows move, right and left open and close folders.
export function FileTree({ files, selected, onSelect, unlisted }: Props) {
  const { t } = useTranslation('iac')
  const { number } = useFormat()
  const tree = useMemo(() => treeOf(files), [files])
  const [risky, setRisky] = useState(false)
  const [closed, setClosed] = useState<ReadonlySet<string>>(() => new Set(files.length > shownAtOnce ? tree.filter((n) => !n.file).map((n) => n.path) : []))
  const lines = linesOf(tree, closed, risky)
  const [active, setActive] = useState<string>()
  const box = useRef<HTMLDivElement>(null)
  const current = lines.some((l) => l.node.path === active) ? active : (lines.find((l) => l.node.path === selected) ?? lines[0])?.node.path

  const toggle = (path: string) => {
    const next = new Set(closed)
    if (!next.delete(path)) next.add(path)
    setClosed(next)
  }
  const go = (line: Line | undefined) => {
    if (!line) return
    setActive(line.node.path)
    box.current?.querySelector<HTMLElement>(`[data-path="${CSS.escape(line.node.path)}"]`)?.focus()
  }
  const onKeyDown = (e: KeyboardEvent, line: Line, i: number) => {
    const folder = !line.node.file
    if (e.key === 'ArrowDown') go(lines[i + 1])
    else if (e.key === 'ArrowUp') go(lines[i - 1])
    else if (e.key === 'Home') go(lines[0])
    else if (e.key === 'End') go(lines.at(-1))
    else if (e.key === 'ArrowRight' && folder && !line.open) toggle(line.node.path)
    else if (e.key === 'ArrowLeft' && folder && line.open) toggle(line.node.path)
    else if (e.key === 'ArrowLeft') go(lines.slice(0, i).findLast((l) => l.depth < line.depth))
    else return
    e.preventDefault()
  }
  return (
    <div className={css.stack}>
      <div className={css.row}>
        <Switch size="small" id="risky-only" checked={risky} onChange={setRisky} />
        <label htmlFor="risky-only">{t('riskyOnly')}</label>
      </div>
      <div ref={box} className={css.tree} role="tree" aria-label={t('files')}>
        {lines.map((line, i) => (
          <button
            key={line.node.path + (line.node.file ? '' : '/')}
            type="button"
            role="treeitem"
            data-path={line.node.path}
            aria-level={line.depth + 1}
            aria-expanded={line.node.file ? undefined : line.open}
            aria-selected={Boolean(line.node.file) && line.node.path === selected}
            tabIndex={line.node.path === current ? 0 : -1}
            className={css.node}
            style={{ paddingInlineStart: 8 + line.depth * 14 }}
            onFocus={() => setActive(line.node.path)}
            onKeyDown={(e) => onKeyDown(e, line, i)}
            onClick={() => (line.node.file ? onSelect(line.node.path) : toggle(line.node.path))}
            title={line.node.path}
          >
            <span aria-hidden>{line.node.file ? line.node.file.note ? <FileOutlined /> : <FileTextOutlined /> : line.open ? <CaretDownOutlined /> : <CaretRightOutlined />}</span>
            <span className={css.nodeName}>{line.node.name}</span>
            {total(line.node.counts) > 0 && (!line.open || line.node.file) && <SeverityCounts counts={worst(line.node.counts)} />}
          </button>
        ))}
        {lines.length === 0 && <p className={css.soft}>{t('noRiskyFile')}</p>}
      </div>
      {unlisted ? <p className={css.soft}>{t('unlisted', { number: number(unlisted) })}</p> : null}
    </div>
  )
}
