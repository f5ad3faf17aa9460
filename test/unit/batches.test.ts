import { expect, test } from 'vitest'
import { inBatches } from '../../src/db/batches.ts'

const LIMITS = { atOnce: 1, largest: 3 }

test('reads what is asked for at once in one statement, and each caller gets its own', async () => {
  const asked: number[][] = []
  const read = inBatches<number, string>(async (keys) => {
    asked.push([...keys])
    return keys.map((key) => `value ${key}`)
  }, LIMITS)
  expect(await Promise.all([1, 2, 3, 4].map(read))).toEqual(['value 1', 'value 2', 'value 3', 'value 4'])
  expect(asked).toEqual([[1, 2, 3], [4]])
})

test('never answers a read by a statement that began before it', async () => {
  let committed = 'before'
  const statements: (() => void)[] = []
  const read = inBatches<string, string>((keys) => {
    const seen = committed
    return new Promise((resolve) => statements.push(() => resolve(keys.map(() => seen))))
  }, LIMITS)
  const early = read('a')
  await until(() => statements.length === 1)
  committed = 'after'
  const late = read('a')
  statements[0]?.()
  expect(await early).toBe('before')
  await until(() => statements.length === 2)
  statements[1]?.()
  expect(await late).toBe('after')
})

test('fails only those who asked in the statement that failed', async () => {
  let failing = true
  const read = inBatches<number, number>(async (keys) => {
    if (!failing) return keys
    failing = false
    throw new Error('connection lost')
  }, LIMITS)
  const results = await Promise.allSettled([1, 2, 3, 4].map(read))
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected', 'fulfilled'])
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
