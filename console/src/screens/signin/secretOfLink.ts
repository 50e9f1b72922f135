// secretOfLink reads the one-time token behind the # of a link, which no server and no log sees, and takes it out of the address.
export function secretOfLink(): string {
  const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? ''
  if (token) history.replaceState(null, '', location.pathname + location.search)
  return token
}
