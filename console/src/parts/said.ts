// said writes a value of an object for people: words as they are, everything else as short JSON.
export function said(value: unknown, most = 300): string {
  const text = typeof value === 'string' ? value || '""' : (JSON.stringify(value) ?? '')
  const letters = [...text]
  return letters.length > most ? letters.slice(0, most).join('') + '…' : text
}

// sentence begins with a capital letter: the API writes reasons like errors.
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
