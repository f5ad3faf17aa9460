import { expect, it } from 'vitest'
import { createSlots } from '../../src/services/slots.ts'

it('lets so many work at once, the others in their order, and refuses whoever comes when too many wait', async () => {
  const slots = createSlots(2, 2)
  const finish: (() => void)[] = []
  const begun: number[] = []
  const start = (n: number) =>
    slots(async () => {
      begun.push(n)
      await new Promise<void>((resolve) => finish.push(resolve))
      if (n === 1) throw new Error('failed')
      return n
    })
  const works = [start(0), start(1), start(2), start(3)]
  const outcomes = Promise.allSettled(works)
  await expect(start(4)).rejects.toMatchObject({ code: 'OVERLOADED' })
  expect(begun).toEqual([0, 1])
  finish[1]?.() // a failure gives its slot on, too
  await expect(works[1]).rejects.toThrow('failed')
  await expect.poll(() => begun).toEqual([0, 1, 2])
  finish[0]?.()
  finish[2]?.()
  await expect.poll(() => begun).toEqual([0, 1, 2, 3])
  finish[3]?.()
  expect((await outcomes).map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
  ])
  const again = slots(async () => 'free')
  expect(await again).toBe('free')
})
