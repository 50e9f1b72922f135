// openPalette opens the command palette from anywhere, or closes it. The palette is loaded after the page: what is pressed before is
// kept for it.
export const paletteEvent = 'stockade:palette'

let waiting = false

export function openPalette() {
  waiting = true
  dispatchEvent(new Event(paletteEvent))
}

// wanted reports, once, whether the palette was asked for.
export function wanted(): boolean {
  const was = waiting
  waiting = false
  return was
}

// typing reports whether a key belongs to a field that somebody types in.
function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName))
}

// isShortcut reports whether a key is the palette's: Ctrl or Cmd with K, or a slash outside of fields.
export function isShortcut(e: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey' | 'target'>): boolean {
  if (e.altKey) return false
  if (e.ctrlKey || e.metaKey) return !e.shiftKey && e.key.toLowerCase() === 'k'
  return e.key === '/' && !typing(e.target)
}

addEventListener('keydown', (e) => {
  if (!isShortcut(e) || !document.getElementById('main')) return // nobody is signed in
  e.preventDefault()
  openPalette()
})
