import { expect, test } from 'vitest'

import { binaryState, byWorth, command, containerName, containersUnread, flat, signsOf, unread } from './facts'
import { codeOf } from './shapes'

test('a program that only calls itself so is worse than one that was replaced', () => {
  expect(binaryState({ genuine: 'yes' })).toEqual({ state: 'ok', word: 'genuine' })
  expect(binaryState({ genuine: 'yes', replaced: true }).word).toBe('replaced')
  expect(binaryState({ genuine: 'no build information of Kubernetes', replaced: true }).word).toBe('imitated')
  expect(binaryState({})).toEqual({ state: 'unknown', word: 'notProven' })
})

test('what is wrong and what runs stands first', () => {
  const list = [
    { component: 'etcd', path: '/a', genuine: 'yes' },
    { component: 'runc', path: '/b', genuine: 'yes', running: true },
    { component: 'kubelet', path: '/c', genuine: 'imitates' },
    { component: 'crictl', path: '/d', genuine: 'yes', replaced: true },
  ]
  expect([...list].sort(byWorth).map((b) => b.component)).toEqual(['kubelet', 'crictl', 'runc', 'etcd'])
})

test('signs of a container', () => {
  expect(signsOf({ id: 'x' })).toEqual([])
  expect(signsOf({ id: 'x', processes: [{ name: 'web', uid: 0, seccomp: 'filter' }], userNamespace: true })).toEqual([]) // root of its own namespace only
  expect(
    signsOf({
      id: 'x',
      hostPid: true,
      local: true,
      drift: [{ path: '/tmp/x', why: 'added' }],
      mounts: [{ source: '/', path: '/host' }],
      processes: [{ name: 'sshd', uid: 0, role: 'sshd', caps: ['ALL'], seccomp: 'disabled', lsm: 'unconfined' }],
    }),
  ).toEqual(['drift', 'host-write', 'role', 'caps', 'seccomp', 'lsm', 'root', 'host', 'local'])
  expect(signsOf({ id: 'x', mounts: [{ source: '/etc', path: '/e', readOnly: true }] })).toEqual([])
})

test('names and commands', () => {
  expect(containerName({ id: 'abcdef0123456789', namespace: 'shop', pod: 'web-1', container: 'web' })).toBe('shop/web-1/web')
  expect(containerName({ id: 'abcdef0123456789' })).toBe('abcdef012345')
  expect(command({ name: 'sh' })).toBe('sh')
  expect(command({ name: 'sh', args: ['sh', '-c', 'x'.repeat(300)] })).toHaveLength(201)
})

test('what is unread is told once', () => {
  const need = { check: 'containers', needs: 'the socket of the container runtime', reason: 'permission denied', code: 'forbidden' }
  expect(unread([need], [{ ...need }, { ...need, check: 'kernel' }])).toHaveLength(2)
  expect(unread([], [])).toEqual([])
})

test('containers that were not read are not containers that do not run', () => {
  const skip = { check: 'containers', needs: 'the socket', reason: 'permission denied', code: 'forbidden' }
  expect(containersUnread([], [skip])).toBe(true)
  expect(containersUnread([{ ...skip, check: 'containers/drift' }], [])).toBe(true)
  expect(containersUnread([], [{ ...skip, check: 'kernel' }])).toBe(false)
})

test('a configuration as lines', () => {
  expect(flat({ b: [1], a: { d: false, c: 'x' }, e: {} })).toEqual([
    ['a.c', 'x'],
    ['a.d', 'false'],
    ['b', '[1]'],
    ['e', '{}'],
  ])
})

test('an unknown code is "left out"', () => {
  expect(codeOf('forbidden')).toBe('forbidden')
  expect(codeOf('who knows')).toBe('skipped')
})
