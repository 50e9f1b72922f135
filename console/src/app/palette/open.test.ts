import { expect, it } from 'vitest'

import { isShortcut, openPalette, wanted } from './open'

const key = (key: string, more: object = {}) => ({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, target: document.body, ...more })

it('knows its keys', () => {
  expect(isShortcut(key('k', { ctrlKey: true }))).toBe(true)
  expect(isShortcut(key('K', { metaKey: true }))).toBe(true)
  expect(isShortcut(key('/'))).toBe(true)
  expect(isShortcut(key('k'))).toBe(false)
  expect(isShortcut(key('k', { ctrlKey: true, shiftKey: true }))).toBe(false)
  expect(isShortcut(key('/', { target: document.createElement('input') }))).toBe(false)
  expect(isShortcut(key('/', { ctrlKey: true }))).toBe(false)
})

it('keeps a wish until it is asked for, once', () => {
  expect(wanted()).toBe(false)
  openPalette()
  expect(wanted()).toBe(true)
  expect(wanted()).toBe(false)
})
