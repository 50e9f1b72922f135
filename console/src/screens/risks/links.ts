// assetLink is the page of an asset, where it has one.
export function assetLink(a: { kind: string; id: string; targetId: string; name: string; digest?: string }): string | undefined {
  switch (a.kind) {
    case 'cluster':
      return `/clusters/${a.targetId}`
    case 'namespace':
      return `/assets/namespaces/${a.id}`
    case 'workload':
      return `/assets/workloads/${a.id}`
    case 'node':
      return `/assets/nodes/${a.id}`
    case 'image':
      return a.digest ? `/images/${a.digest}` : undefined
  }
  return undefined
}

// external is an address of a reference that may be a link: only the web's own schemes.
export function external(address: string): string | undefined {
  try {
    const url = new URL(address)
    return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : undefined
  } catch {
    return undefined
  }
}

// rulePage is the page that explains what was found: of a rule or of a vulnerability.
export function rulePage(rule: string): string {
  return rule.includes('/') ? `/rules/${rule}` : `/vulnerabilities/${encodeURIComponent(rule)}`
}
