export type KeptLease = {
  /** It was renewed lately: what begins now begins while nobody else can hold it. */
  isHeld(): boolean
  stop(): void
}

/**
 * Renews a lease, just claimed, while work is under way that may take longer; `everyMs` is a third of it. A renewal that fails is
 * made up for by the next; one that finds the lease lost (false, null) changes nothing: the next write finds it, too.
 */
export function keepLease(renew: () => Promise<unknown>, everyMs: number): KeptLease {
  let renewing = false
  let renewedAt = performance.now()
  const timer = setInterval(async () => {
    if (renewing) return
    renewing = true
    const askedAt = performance.now()
    if (await renew().catch(() => null)) renewedAt = askedAt
    renewing = false
  }, everyMs)
  timer.unref()
  return {
    isHeld: () => performance.now() - renewedAt < 2 * everyMs,
    stop: () => clearInterval(timer),
  }
}
