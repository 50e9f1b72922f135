import { isValidElement, type ReactNode } from 'react'

import blocks from '../../parts/Blocks.module.css'

type Props = { label: string; head: string[]; rows: { key: string; cells: ReactNode[] }[]; none?: string }

// short tells cells that need no room to break in: signs, numbers, words.
function short(cell: ReactNode): boolean {
  if (!isValidElement<{ children?: unknown }>(cell)) return typeof cell !== 'string' || cell.length < 16
  const inside = cell.props.children
  return cell.type !== 'div' && (typeof inside !== 'string' || inside.length < 16)
}

// Table is a small table inside of a page; it scrolls in its own box.
export function Table({ label, head, rows, none }: Props) {
  if (rows.length === 0) return none ? <p className="text-soft">{none}</p> : null
  return (
    <div className={blocks.scroll} tabIndex={0} role="region" aria-label={label} style={{ maxHeight: 420 }}>
      <table className={blocks.table} aria-label={label}>
        <thead>
          <tr>
            {head.map((h) => (
              <th key={h} scope="col">
                {h}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.key}>
              {r.cells.map((c, i) => (
                <td key={head[i]} className={short(c) ? undefined : blocks.anywhere}>
                  {c}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
