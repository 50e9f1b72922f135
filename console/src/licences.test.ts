// What the console is shipped with has licences that the product may carry; NOTICE names the two that are special.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

type Package = { dev?: boolean; devOptional?: boolean }

const allowed = ['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', 'MPL-2.0', '0BSD']
const special = { isbot: 'Unlicense' }

test('licences of production packages', () => {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Package> }
  const shipped = Object.entries(lock.packages).filter(([path, p]) => path && !p.dev && !p.devOptional)
  expect(shipped.length).toBeGreaterThan(50)
  const wrong = shipped
    .map(([path]) => {
      const { name, license } = JSON.parse(readFileSync(`${path}/package.json`, 'utf8')) as { name: string; license: string }
      return { name, license }
    })
    .filter(({ name, license }) => !allowed.includes(license) && special[name as keyof typeof special] !== license)
  expect(wrong).toEqual([])
})

test('the lock file names no registry', () => {
  expect(readFileSync('package-lock.json', 'utf8')).not.toMatch(/"resolved"/)
})
