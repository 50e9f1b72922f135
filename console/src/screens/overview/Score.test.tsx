import { createMemoryHistory, createRootRoute, createRouter, RouterProvider } from '@tanstack/react-router'
import { cleanup, render, screen } from '@testing-library/react'
import { afterEach, expect, test } from 'vitest'

import { grade, Score } from './Score'

afterEach(cleanup)

test.each([
  [100, 'good'],
  [80, 'good'],
  [79, 'fair'],
  [50, 'fair'],
  [49, 'poor'],
  [0, 'poor'],
] as const)('%i is %s', (value, word) => expect(grade(value)).toBe(word))

test('the score says in words what it is, what was taken off, and where that leads', async () => {
  const score = {
    value: 71,
    deductions: [
      { reason: 'critical' as const, count: 1234, points: 24 },
      { reason: 'not-scanned' as const, count: 1, points: 5 },
    ],
    steps: [],
  }
  const root = createRootRoute({ component: () => <Score score={score} scope={{ target: ['7'], namespace: [] }} /> })
  render(<RouterProvider router={createRouter({ routeTree: root, history: createMemoryHistory() }) as never} />)
  expect((await screen.findByRole('img')).getAttribute('aria-label')).toContain('71')
  expect(screen.getByRole('link', { name: /1,234 critical findings/ }).getAttribute('href')).toMatch(/severity=/)
  expect(screen.getByText('−24')).toBeTruthy()
  // What was taken off adds up to what is missing to a hundred.
  expect(100 - score.deductions.reduce((sum, d) => sum + d.points, 0)).toBe(score.value)
})
