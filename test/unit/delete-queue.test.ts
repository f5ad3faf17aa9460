import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/domain/errors.ts'
import { createDeleteQueue, type ItemFailure } from '../../src/storage/delete-queue.ts'

/** A store that answers when it is told to. */
function aStore(answer: (names: readonly string[]) => ItemFailure[] | Error = () => []) {
  const requests: string[][] = []
  const deleted = new Set<string>()
  let underWay = 0
  let most = 0
  const queue = createDeleteQueue<string>({
    largest: 1_000,
    nameOf: (name) => name,
    send: async (names) => {
      requests.push([...names])
      underWay += 1
      most = Math.max(most, underWay)
      await sleep(10)
      underWay -= 1
      const answered = answer(names)
      if (answered instanceof Error) throw answered
      const kept = new Set(answered.map(({ name }) => name))
      for (const name of names) if (!kept.has(name)) deleted.add(name)
      return answered
    },
  })
  return { queue, requests, deleted, mostAtOnce: () => most }
}

const names = (prefix: string, count: number) => Array.from({ length: count }, (_, at) => `${prefix}-${at}`)
const refused = () => new StorageError('refused', 'no')
const overloaded = () =>
  new StorageError('unreachable', 'slow down', Object.assign(new Error('busy'), { name: 'SlowDown' }))

describe('deletions of one store', () => {
  it('share requests, and each caller hears of its own', async () => {
    const failing = new Set(['b-3', 'c-0'])
    const store = aStore((asked) =>
      asked.filter((name) => failing.has(name)).map((name) => ({ name, code: 'AccessDenied', message: '' })),
    )
    const answers = await Promise.all(['a', 'b', 'c'].map((each) => store.queue(names(each, 100))))
    expect(store.requests.map((request) => request.length)).toEqual([300])
    expect(answers.map((failures) => failures.map(({ name }) => name))).toEqual([[], ['b-3'], ['c-0']])
  })

  it('are cut to what the store takes, four requests at once', async () => {
    const store = aStore()
    await Promise.all([store.queue(names('a', 6_500)), store.queue(names('b', 700))])
    expect(store.requests.map((request) => request.length)).toEqual([...Array(7).fill(1_000), 200])
    expect(store.deleted.size).toBe(7_200)
    expect(store.mostAtOnce()).toBe(4)
  })

  it('begin at once where nobody else waits, and an empty one sends nothing', async () => {
    const store = aStore()
    await store.queue(['a'])
    expect(await store.queue([])).toEqual([])
    expect(store.requests).toEqual([['a']])
  })

  it('that name one object twice go in two requests', async () => {
    const store = aStore()
    await Promise.all([store.queue(['a', 'b']), store.queue(['b', 'c']), store.queue(['d'])])
    expect(store.requests.every((request) => new Set(request).size === request.length)).toBe(true)
    expect(store.requests.flat().toSorted()).toEqual(['a', 'b', 'b', 'c', 'd'])
  })

  it('fail for nobody else: what was refused together is sent once more apart', async () => {
    const store = aStore((asked) => (asked.includes('bad-0') ? refused() : []))
    const outcomes = await Promise.allSettled([
      store.queue(names('a', 10)),
      store.queue(names('bad', 10)),
      store.queue(names('c', 10)),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(store.deleted).toEqual(new Set([...names('a', 10), ...names('c', 10)]))
    expect(store.requests).toHaveLength(4)
  })

  it('end when nothing of them is under way, and send nothing more once they have failed', async () => {
    const store = aStore((asked) => (asked.includes('a-0') ? refused() : []))
    await expect(store.queue(names('a', 9_000))).rejects.toMatchObject({ kind: 'refused' })
    const sent = store.requests.length
    expect(sent).toBeLessThanOrEqual(5)
    await sleep(20)
    expect(store.requests).toHaveLength(sent)
    expect(await store.queue(['b'])).toEqual([])
  })

  it('that waited until they may not begin any more are never sent', async () => {
    const store = aStore()
    let held = true
    const before = Array.from({ length: 8 }, (_, at) => store.queue(names(`a${at}`, 1_000)))
    const late = store.queue(['late'], () => held)
    await sleep(5) // four requests are under way
    held = false
    await expect(late).rejects.toMatchObject({ kind: 'unreachable' })
    await Promise.all(before)
    expect(store.deleted.has('late')).toBe(false)
    expect(store.deleted.size).toBe(8_000)
  })

  it('get smaller for a store that cannot take them, until nothing waits any more', async () => {
    const store = aStore((asked) => (asked.length > 120 ? overloaded() : []))
    await Promise.all([store.queue(names('a', 900)), store.queue(names('b', 900))])
    expect(store.deleted.size).toBe(1_800)
    const taken = store.requests.filter(({ length }) => length <= 120)
    expect(Math.max(...taken.map(({ length }) => length))).toBeGreaterThan(60)
    await store.queue(names('c', 400))
    expect(store.requests.map(({ length }) => length)).toContain(400)
  })

  it('fail when the store takes not even a few', async () => {
    const store = aStore(() => overloaded())
    const [first, second] = await Promise.allSettled([store.queue(names('a', 500)), store.queue(['b'])])
    expect([first?.status, second?.status]).toEqual(['rejected', 'rejected'])
    expect(store.requests.length).toBeLessThan(40)
  })
})
