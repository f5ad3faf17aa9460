/**
 * Renews a lease while work is under way that may take longer. A renewal that fails is made up for by the next; one that finds
 * the lease lost changes nothing: the next write finds it, too. Answers how to stop.
 */
export function keepLease(renew: () => Promise<unknown>, everyMs: number): () => void {
  let renewing = false
  const timer = setInterval(async () => {
    if (renewing) return
    renewing = true
    await renew().catch(() => null)
    renewing = false
  }, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}
