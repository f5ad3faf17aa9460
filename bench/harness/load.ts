/** A closed loop: `connections` callers, each with one request at a time, until `total` are done. */
export type LoadResult = {
  perSecond: number
  seconds: number
  p50Ms: number
  p99Ms: number
  maxMs: number
}

export async function runLoad(
  total: number,
  connections: number,
  call: (index: number) => Promise<unknown>,
): Promise<LoadResult> {
  const latencies = new Float64Array(total)
  let next = 0
  const caller = async () => {
    while (next < total) {
      const index = next++
      const begun = performance.now()
      await call(index)
      latencies[index] = performance.now() - begun
    }
  }
  const begun = performance.now()
  await Promise.all(Array.from({ length: connections }, caller))
  return summarize(latencies, (performance.now() - begun) / 1000)
}

function summarize(latencies: Float64Array, seconds: number): LoadResult {
  latencies.sort()
  return {
    perSecond: latencies.length / seconds,
    seconds,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    maxMs: percentile(latencies, 1),
  }
}

/** Of sorted values. */
const percentile = (sorted: Float64Array, part: number): number =>
  sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN

/** The calls take turns, so that whatever else the machine does meets each of them alike. */
export async function runAlternating(
  totalEach: number,
  connections: number,
  calls: readonly ((index: number) => Promise<unknown>)[],
): Promise<LoadResult[]> {
  const each = calls.map(() => new Float64Array(totalEach))
  const begun = performance.now()
  await runLoad(totalEach * calls.length, connections, async (turn) => {
    const which = turn % calls.length
    const index = Math.floor(turn / calls.length)
    const at = performance.now()
    await calls[which]?.(index)
    each[which]?.set([performance.now() - at], index)
  })
  return each.map((latencies) => summarize(latencies, (performance.now() - begun) / 1000))
}
