export type KeptLease = {
  /** It was renewed lately: what begins now begins while nobody else can hold it. */
  isHeld(): boolean
  stop(): void
}

/**
 * Renews a lease, just claimed, while work is under way that may take longer; `everyMs` is a third of it. A renewal that fails is
 * made up for by the next; one that finds the lease lost (false, null) ends it at once, and for good.
 */
export function keepLease(renew: () => Promise<unknown>, everyMs: number): KeptLease {
  let renewing = false
  let lost = false
  let renewedAt = performance.now()
  const timer = setInterval(async () => {
    if (renewing || lost) return
    renewing = true
    const askedAt = performance.now()
    const answer = await renew().then(Boolean, () => 'failed' as const)
    if (answer === true) renewedAt = askedAt
    if (answer === false) lost = true
    renewing = false
  }, everyMs)
  timer.unref()
  return {
    isHeld: () => !lost && performance.now() - renewedAt < 2 * everyMs,
    stop: () => clearInterval(timer),
  }
}
