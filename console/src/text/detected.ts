export type Language = 'en' | 'zh'

// detected is the language before anybody is signed in: what was chosen in this browser, or what the browser prefers.
export function detected(): Language {
  const kept = localStorage.getItem('language')
  if (kept === 'en' || kept === 'zh') return kept
  return navigator.languages.find((l) => /^(en|zh)/i.test(l))?.toLowerCase().startsWith('zh') ? 'zh' : 'en'
}
