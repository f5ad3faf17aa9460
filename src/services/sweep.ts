/** Work that a worker has claimed and advances side by side: `each` ends when that one is given back, `done` when all are. */
export type Swept = { claimed: number; each: readonly Promise<unknown>[]; done: Promise<unknown> }

export function advanceAll<Work>(due: readonly Work[], advance: (work: Work) => Promise<unknown>): Swept {
  const each = due.map(advance)
  return { claimed: due.length, each, done: Promise.allSettled(each) }
}
