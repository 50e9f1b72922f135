// Files that the server writes, as they come.

// received reads an answer to its end and gives it with its name. An answer that breaks off throws.
export async function received(response: Response, name: string, progress: (bytes: number) => void): Promise<{ body: Blob; name: string }> {
  const parts: BlobPart[] = []
  let count = 0
  let told = 0
  const reader = response.body?.getReader()
  while (reader) {
    const { done, value } = await reader.read()
    if (done) break
    parts.push(value as Uint8Array<ArrayBuffer>)
    count += value.byteLength
    if (count - told > 65_536) progress((told = count))
  }
  return { body: new Blob(parts, { type: 'application/octet-stream' }), name: fileName(response.headers.get('Content-Disposition')) ?? name }
}

// fileName reads the name of a Content-Disposition: plain, quoted, or encoded (RFC 5987). Folders in it do not count.
export function fileName(header: string | null): string | undefined {
  if (!header) return undefined
  const encoded = /filename\*=(?:utf-8'')([^;]+)/i.exec(header)?.[1]
  const plain = /filename="([^"]+)"/i.exec(header)?.[1] ?? /filename=([^;"]+)/i.exec(header)?.[1]
  let name = plain
  if (encoded) {
    try {
      name = decodeURIComponent(encoded)
    } catch {
      // the plain one then
    }
  }
  return name?.trim().split(/[\\/]/).pop() || undefined
}

// save hands a file to the browser.
export function save(body: Blob, name: string): void {
  const url = URL.createObjectURL(body)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  document.body.append(link)
  link.click()
  link.remove()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
