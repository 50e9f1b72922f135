import { fireEvent, render, screen } from '@testing-library/react'
import { useState } from 'react'
import { expect, test } from 'vitest'

import { TabBar } from './TabBar'

function Three() {
  const [active, set] = useState('b')
  return <TabBar label="Sections" tabs={['a', 'b', 'c'].map((key) => ({ key, label: `Tab ${key}`, children: <p>Section {key}</p> }))} active={active} onChange={set} />
}

test('arrows, Home and End move between tabs, around the ends', () => {
  render(<Three />)
  const at = () => screen.getByRole('tab', { selected: true }).textContent
  expect(at()).toBe('Tab b')
  expect(screen.getByRole('tabpanel', { name: 'Tab b' }).textContent).toBe('Section b')
  const bar = screen.getByRole('tablist', { name: 'Sections' })
  for (const [key, tab] of [
    ['ArrowRight', 'Tab c'],
    ['ArrowRight', 'Tab a'],
    ['ArrowLeft', 'Tab c'],
    ['Home', 'Tab a'],
    ['End', 'Tab c'],
    ['x', 'Tab c'],
  ] as const) {
    fireEvent.keyDown(bar, { key })
    expect(at()).toBe(tab)
  }
  expect(document.activeElement?.textContent).toBe('Tab c')
  fireEvent.click(screen.getByRole('tab', { name: 'Tab a' }))
  expect(at()).toBe('Tab a')
  expect(screen.getAllByRole('tab').filter((t) => t.tabIndex === 0)).toHaveLength(1)
})
