import { describe, expect, it } from 'vitest'
import { deriveName, numberedName } from '../../src/domain/derived-name.ts'
import { findNameProblem } from '../../src/domain/resource-name.ts'

describe("the name of a job that is made from Flink's", () => {
  it.each([
    ['orders', 'orders'],
    ['Orders (EU) / v2', 'orders-eu-v2'],
    ['--orders--', 'orders'],
    [
      'insert-into_default_catalog.default_database.sink',
      'insert-into-default-catalog-default-database-sink',
    ],
    ['a'.repeat(200), 'a'.repeat(63)],
    [`${'a'.repeat(62)} b`, 'a'.repeat(62)],
    [`-${'a'.repeat(63)}`, 'a'.repeat(63)],
    ['x\u0000y\ud800z', 'x-y-z'],
    ['日本', null],
    ['', null],
    ['***', null],
    ['550e8400-E29B-41d4-a716-446655440000', 'job-550e8400-e29b-41d4-a716-446655440000'],
  ])('%j becomes %j', (flinkJobName, name) => {
    expect(deriveName(flinkJobName)).toBe(name)
    if (name !== null) expect(findNameProblem(name)).toBeNull()
  })

  it.each([
    ['orders', 1, 'orders'],
    ['orders', 2, 'orders-2'],
    ['a'.repeat(63), 12, `${'a'.repeat(60)}-12`],
    [`${'a'.repeat(60)}-bb`, 2, `${'a'.repeat(60)}-2`],
  ])('%s the %ith time is %s', (name, number, expected) => {
    expect(numberedName(name, number)).toBe(expected)
    expect(findNameProblem(numberedName(name, number))).toBeNull()
  })
})
