import { expect, test } from 'vitest'

import { fileName, received } from './file'

test('the name of a file is read in each form, without folders', () => {
  expect(fileName('attachment; filename="nsa-20260302.html"')).toBe('nsa-20260302.html')
  expect(fileName('attachment; filename=a.csv')).toBe('a.csv')
  expect(fileName("attachment; filename*=utf-8''%E5%90%88%E8%A7%84.csv")).toBe('合规.csv')
  expect(fileName("attachment; filename=\"b.csv\"; filename*=utf-8''%E5%9")).toBe('b.csv')
  expect(fileName('attachment; filename="../../etc/passwd"')).toBe('passwd')
  expect(fileName('attachment')).toBeUndefined()
  expect(fileName(null)).toBeUndefined()
})

test('an answer is read whole, and one that breaks off throws', async () => {
  const whole = new Response('0123456789', { headers: { 'Content-Disposition': 'attachment; filename="x.csv"' } })
  const file = await received(whole, 'other', () => undefined)
  expect(file.name).toBe('x.csv')
  expect(await file.body.text()).toBe('0123456789')
  const broken = new ReadableStream<Uint8Array>({
    start: (control) => {
      control.enqueue(new Uint8Array([1, 2]))
      control.error(new TypeError('network error'))
    },
  })
  await expect(received({ body: broken, headers: new Headers() } as Response, 'other', () => undefined)).rejects.toThrow()
})
