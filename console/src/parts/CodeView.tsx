import { useEffect, useRef, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import css from './CodeView.module.css'

export type Mark = { line: number; endLine?: number; note?: ReactNode } // lines as the text counts them

type Props = {
  label: string
  text: string
  firstLine?: number // number of the first line; 1 by default
  marks?: Mark[]
  focus?: number // line to bring into view
  height?: number | string
  onLine?: (line: number) => void // makes the numbers of marked lines buttons
}

// CodeView shows a text with line numbers; marked lines have a colour, a sign and a note below them.
export function CodeView({ label, text, firstLine = 1, marks = [], focus, height = 420, onLine }: Props) {
  const { t } = useTranslation('parts')
  const box = useRef<HTMLDivElement>(null)
  const lines = text.replace(/\n$/, '').split('\n')
  const wanted = focus ?? marks[0]?.line
  const at = new Map<number, Mark[]>() // a long file has many of both
  for (const m of marks) for (let n = m.line; n <= Math.min(m.endLine ?? m.line, firstLine + lines.length); n++) at.set(n, [...(at.get(n) ?? []), m])
  useEffect(() => {
    const row = box.current?.querySelector<HTMLElement>(`[data-line="${wanted}"]`)
    if (row && box.current) box.current.scrollTop = Math.max(0, row.offsetTop - box.current.clientHeight / 3)
  }, [wanted, text])
  return (
    <div ref={box} className={css.box} style={{ maxHeight: height }} tabIndex={0} role="region" aria-label={label}>
      <table className={css.code} role="presentation">
        <tbody>
          {lines.map((line, i) => {
            const n = firstLine + i
            const marked = at.get(n) ?? []
            const ends = marked.filter((m) => n === (m.endLine ?? m.line) && m.note)
            return [
              <tr key={n} data-line={n} className={marked.length > 0 ? css.marked : n === focus ? css.focus : undefined}>
                <td className={css.number}>
                  {marked.length > 0 && onLine ? (
                    <button type="button" onClick={() => onLine(n)} aria-label={t('markedLine', { line: n })}>
                      {n}
                    </button>
                  ) : (
                    n
                  )}
                </td>
                <td className={css.sign} aria-hidden={marked.length === 0}>
                  {marked.length > 0 ? <span aria-label={t('marked')}>▶</span> : ''}
                </td>
                <td className={css.line}>{line || ' '}</td>
              </tr>,
              ...ends.map((m, k) => (
                <tr key={`${n}-${k}`} className={css.noteRow}>
                  <td colSpan={2} />
                  <td>
                    <div className={css.note}>{m.note}</div>
                  </td>
                </tr>
              )),
            ]
          })}
        </tbody>
      </table>
    </div>
  )
}
