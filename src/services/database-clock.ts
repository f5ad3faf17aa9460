/**
 * The database's clock, carried on from an instant it has told by a clock that nobody sets: those of workers may be wrong by
 * minutes.
 */
export function clockFrom(told: Date): () => Date {
  const offset = told.getTime() - performance.now()
  return () => new Date(offset + performance.now())
}
