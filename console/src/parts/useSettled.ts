import { useEffect, useMemo, useState } from 'react'

// useSettled is a value that has not changed for half a second: each change of it asks the server.
export function useSettled<T>(value: T, pause = 500): T {
  const key = JSON.stringify(value)
  const [settled, settle] = useState(key)
  useEffect(() => {
    const timer = setTimeout(() => settle(key), pause)
    return () => clearTimeout(timer)
  }, [key, pause])
  return useMemo(() => JSON.parse(settled) as T, [settled])
}
