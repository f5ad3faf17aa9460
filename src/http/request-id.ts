import { randomUUID } from 'node:crypto'

/** Ours alone: an id from outside could be forged, or carry what a log must not. */
export const newRequestId = (): string => `req-${randomUUID()}`
