// What changed between two texts or JSON documents, as lines for DiffView.

// pretty writes JSON with a field a line, so that lines can be compared; what is no JSON stays as it is.
export function pretty(text: string | undefined): string[] {
  if (!text) return []
  try {
    return JSON.stringify(JSON.parse(text) as unknown, null, 2).split('\n')
  } catch {
    return text.split('\n')
  }
}

const most = 2000 // lines of either side that are compared line by line

// changes compares before and after: lines that both have stand with a blank before them, others with - and +.
export function changes(before: string | undefined, after: string | undefined): string {
  const a = pretty(before)
  const b = pretty(after)
  if (a.length > most || b.length > most) return [...a.map((l) => '-' + l), ...b.map((l) => '+' + l)].join('\n')
  // The longest common list of lines, by the usual table.
  const table: Uint16Array[] = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1))
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) table[i]![j] = a[i] === b[j] ? table[i + 1]![j + 1]! + 1 : Math.max(table[i + 1]![j]!, table[i]![j + 1]!)
  }
  const out: string[] = []
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push(' ' + a[i])
      i++
      j++
    } else if (j >= b.length || (i < a.length && table[i + 1]![j]! >= table[i]![j + 1]!)) out.push('-' + a[i++])
    else out.push('+' + b[j++])
  }
  return out.join('\n')
}
