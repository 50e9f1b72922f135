// bundle makes namespaces of files: "../screens/risks/en.json" is of the namespace "risks", "./en.json" of "words".
export function bundle(files: Record<string, object>): Record<string, object> {
  const out: Record<string, object> = {}
  for (const [path, texts] of Object.entries(files)) out[/([^/.]+)\/[a-z]+\.json$/.exec(path)?.[1] ?? 'words'] = texts
  return out
}
