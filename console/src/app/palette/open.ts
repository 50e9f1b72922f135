// openPalette opens the command palette from anywhere; the palette listens.
export const paletteEvent = 'stockade:palette'

export function openPalette() {
  dispatchEvent(new Event(paletteEvent))
}
