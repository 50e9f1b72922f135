import { expect, test } from 'vitest'

import { faultsOf } from './templateFaults'
import { Failed } from '../../api/client'

test('lines are found in what the engine says', () => {
  const error = new Failed(422, 'the template does not compile', 'x', [
    { location: 'body.yaml', message: 'template:12: rego_parse_error: unexpected eof' },
    { location: 'body.yaml', message: 'line 7: expression: undeclared reference to foo' },
    { location: 'body.yaml', message: 'spec.crd has no names' },
  ])
  expect(faultsOf(error).map((f) => f.line)).toEqual([undefined, 7, undefined])
  expect(faultsOf(new Failed(422, 'line 3: mapping values are not allowed\nmore', 'x'))).toEqual([{ line: 3, message: 'line 3: mapping values are not allowed', field: undefined }, { message: 'more', field: undefined }])
  expect(faultsOf(new Error('no'))).toEqual([])
})
