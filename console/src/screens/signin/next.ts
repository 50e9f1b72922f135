// inside lets only paths of this console through: the place to go to after the sign-in comes from the address.
export function inside(next: string | undefined): string {
  return next && /^\/(?![/\\])/.test(next) && !next.startsWith('/sign-in') ? next : '/'
}
