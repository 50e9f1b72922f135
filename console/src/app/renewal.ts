// A session may end while somebody types. Requests then wait here until the sign-in dialog has made a new one, and go again.
type Listener = () => void

let active = false
let ended = false
let waiting: { go: () => void; fail: (reason: Error) => void }[] = []
const listeners = new Set<Listener>()

function tell() {
  for (const listener of listeners) listener()
}

export const renewal = {
  // begin says that somebody is signed in, so that a 401 means that the session ended.
  begin(signedIn: boolean) {
    active = signedIn
  },
  expected(request: Request) {
    return active && !(request.method === 'POST' && new URL(request.url).pathname === '/api/v1/session')
  },
  wait() {
    return new Promise<void>((go, fail) => {
      waiting.push({ go, fail })
      if (!ended) {
        ended = true
        tell()
      }
    })
  },
  done() {
    const list = waiting
    waiting = []
    ended = false
    tell()
    for (const w of list) w.go()
  },
  subscribe(listener: Listener) {
    listeners.add(listener)
    return () => listeners.delete(listener)
  },
  ended: () => ended,
}
