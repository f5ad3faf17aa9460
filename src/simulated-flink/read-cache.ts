/**
 * What a JobManager answers again for `web.refresh-interval`: details, configuration and exceptions of a job stand in one
 * cache of execution graphs, its checkpoint statistics in one of their own (FLINK-32469). States of triggered operations
 * are never cached, nor is a refusal.
 */
import type { Clock } from './clock.ts'

export type CachedView = 'graph' | 'statistics'

export type ReadCache = {
  readonly refreshMs: number
  /** What `make` answered when this view of the job was last looked at. */
  read<T>(view: CachedView, jobId: string, make: () => T): T
  clear(): void
}

/** 0 ms caches nothing. One view must always be asked for with the same `make`. */
export function createReadCache(clock: Clock, refreshMs: number): ReadCache {
  const known = new Map<string, { until: number; value: unknown }>()
  return {
    refreshMs,
    read<T>(view: CachedView, jobId: string, make: () => T): T {
      if (refreshMs === 0) return make()
      const key = `${view} ${jobId}`
      const cached = known.get(key)
      // Only ever written below, by a `make` of the same type.
      if (cached !== undefined && cached.until > clock.now()) return cached.value as T
      const value = make()
      known.set(key, { until: clock.now() + refreshMs, value })
      return value
    },
    clear: () => known.clear(),
  }
}
