/** What a process gives its services: nudges, crash points, a log. */

/** Hints that somebody should look again; losing every one of them only costs time. */
export interface Nudges {
  /** Never throws: a nudge that could not be sent is logged, and the sweep finds the row. */
  savepointDue(): void
}

/** Named places where tests may end the process; a no-op in production. */
export type CrashPoint = (name: string) => void

export type Log = {
  info(fields: Record<string, unknown>, message: string): void
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}
