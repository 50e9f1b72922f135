import { describe, expect, it } from 'vitest'

import { matching, optionsOf, readRecent, remember, step, targetOf, type Option } from './results'

const page = (id: string): Option => ({ id, kind: 'workload', title: id, go: { to: '/' + id } })

describe('targetOf', () => {
  it('leads to the page of each kind', () => {
    const item = { id: '7', title: 'a' }
    expect(targetOf('cluster', item).to).toBe('/clusters/7')
    expect(targetOf('workload', item).to).toBe('/assets/workloads/7')
    expect(targetOf('rule', { id: 'workload/host-pid', title: '' }).to).toBe('/rules/workload/host-pid')
    expect(targetOf('vulnerability', { id: 'CVE-2021-1', title: '' }).to).toBe('/vulnerabilities/CVE-2021-1')
    expect(targetOf('image', { id: '1', title: 'nginx', digest: 'sha256:ab' }).to).toBe('/images/sha256%3Aab')
    expect(targetOf('image', { id: '1', title: 'nginx' })).toEqual({ to: '/images', search: { q: 'nginx' } })
  })
  it('keeps odd names in their place', () => {
    expect(targetOf('project', { id: '../x?y#z', title: '' }).to).toBe('/iac/..%2Fx%3Fy%23z')
  })
})

describe('optionsOf', () => {
  it('gives every option its own id', () => {
    const groups = optionsOf([{ kind: 'namespace', items: [{ id: '1', title: 'a', targetId: '1' }, { id: '1', title: 'a', targetId: '2' }] }])
    expect(new Set(groups[0]!.options.map((o) => o.id)).size).toBe(2)
  })
})

describe('matching', () => {
  const all = [page('go-to-risks'), { ...page('b'), title: '切换到中文' }]
  it('finds words by their beginning', () => expect(matching(all, 'ri go')).toHaveLength(1))
  it('does not find the middle of a word', () => expect(matching(all, 'isk')).toHaveLength(0))
  it('finds characters anywhere', () => expect(matching(all, '中文')).toHaveLength(1))
})

describe('recent', () => {
  it('keeps the newest first, each once, eight in all', () => {
    let list = remember([], page('a'))
    for (const id of 'bcdefghija') list = remember(list, page(id))
    expect(list.map((r) => r.id).join('')).toBe('ajihgfed')
  })
  it('does not keep what is no page', () => expect(remember([], { ...page('a'), go: undefined })).toEqual([]))
  it('takes nothing that leads elsewhere', () => {
    expect(readRecent('x')).toEqual([])
    expect(readRecent([null, 1, {}, { ...page('a'), go: { to: '//elsewhere.example.com' } }, { ...page('b'), go: { to: 'javascript:1' } }, page('c')])).toHaveLength(1)
  })
})

describe('step', () => {
  it('goes around the ends', () => {
    expect(step(2, 3, 'ArrowDown')).toBe(0)
    expect(step(0, 3, 'ArrowUp')).toBe(2)
    expect(step(-1, 3, 'ArrowDown')).toBe(0)
    expect(step(0, 0, 'ArrowDown')).toBe(-1)
    expect(step(0, 3, 'PageDown')).toBe(2)
  })
})
