/** What it means that a snapshot was verified: what each file must be, and what follows for the snapshot. Pure. */
import type { Location } from './location.ts'

/** What the verification of a snapshot says. */
export const VERIFICATION_VERDICTS = [
  'WHOLE',
  'DAMAGED',
  'UNREADABLE',
  'METADATA_MISSING',
  'NOT_ASKED',
] as const
/** NOT_ASKED: the store could not be asked, which proves nothing. */
export type VerificationVerdict = (typeof VERIFICATION_VERDICTS)[number]

export const FINDING_CODES = ['FILE_MISSING', 'SIZE_DIFFERS', 'NOT_READABLE', 'OUTSIDE_STORAGES'] as const
export type VerificationFinding = {
  code: (typeof FINDING_CODES)[number]
  path: string
  message: string
  expectedBytes: number | null
  foundBytes: number | null
}

export type VerificationReport = {
  verdict: VerificationVerdict
  message: string | null
  /** At most 100. */
  findings: VerificationFinding[]
  findingCount: number
  checkedFiles: number
  checkedBytes: number
  /** To the store. */
  requests: number
  durationMs: number
  verifiedAt: string
  verifiedBy: string
}

// --------------------------------------------------------------------------------------------------- judgement

/** A file that a snapshot needs, and how much of it. */
export type NeededFile = {
  path: string
  location: Location
  /** null: the metadata does not tell. */
  sizeBytes: number | null
  /** A whole file is as long as the metadata says; one that holds segments of several may be longer. */
  exact: boolean
}

/** `null`: the store answered that there is none. */
export type FoundFile = { sizeBytes: number; archived: boolean } | null

/** A segment's size is where it ends in its file (`startPosition + size`, SegmentFileStateHandle). */
export function judgeFile(
  { path, sizeBytes, exact }: Omit<NeededFile, 'location'>,
  found: FoundFile,
): VerificationFinding | null {
  const finding = (code: VerificationFinding['code'], message: string): VerificationFinding => ({
    code,
    path,
    message,
    expectedBytes: sizeBytes,
    foundBytes: found?.sizeBytes ?? null,
  })
  if (found === null) return finding('FILE_MISSING', 'The file is gone.')
  if (sizeBytes !== null && found.sizeBytes < sizeBytes) {
    return finding('SIZE_DIFFERS', `The file has ${found.sizeBytes} bytes, and ${sizeBytes} are needed.`)
  }
  if (sizeBytes !== null && exact && found.sizeBytes > sizeBytes) {
    return finding('SIZE_DIFFERS', `The file has ${found.sizeBytes} bytes; it was written with ${sizeBytes}.`)
  }
  if (found.archived) {
    return finding(
      'NOT_READABLE',
      'The file is archived: it must be brought back before anybody can read it.',
    )
  }
  return null
}

const IS_DAMAGE: Record<VerificationFinding['code'], boolean> = {
  FILE_MISSING: true,
  SIZE_DIFFERS: true,
  NOT_READABLE: true,
  OUTSIDE_STORAGES: false,
}

export const isDamage = ({ code }: VerificationFinding): boolean => IS_DAMAGE[code]

/**
 * What follows for a snapshot whose `_metadata` could be read. One damaged file is enough; whole is only what was looked at
 * to the last file.
 */
export function judgeFiles(looked: {
  needed: number
  sound: number
  damaged: number
  /** Why files could not be looked at; null when all were. */
  notAsked: string | null
}): { verdict: 'WHOLE' | 'DAMAGED' | 'NOT_ASKED'; message: string | null } {
  const { needed, sound, damaged, notAsked } = looked
  if (damaged > 0) {
    const files = damaged === 1 ? '1 file it needs is' : `${damaged} files it needs are`
    const unknown = needed - sound - damaged
    const rest = unknown > 0 ? ` ${unknown} more were not looked at.` : ''
    return { verdict: 'DAMAGED', message: `${files} missing, changed or archived.${rest}` }
  }
  if (notAsked !== null || sound < needed) {
    const why = notAsked ?? 'not every file was looked at'
    return { verdict: 'NOT_ASKED', message: `${sound} of ${needed} files are there; ${why}` }
  }
  return { verdict: 'WHOLE', message: null }
}

// -------------------------------------------------------------------------------------------------------- pace

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/**
 * When it is verified the next time. A store that did not answer is asked again soon; one that refuses us needs a person
 * first; `_metadata` that was never seen may lie where only Flink can look.
 */
export function nextVerificationInMs(
  verdict: VerificationVerdict,
  { everyMs, passing }: { everyMs: number; passing: boolean },
): number {
  if (verdict === 'NOT_ASKED') return Math.min(everyMs, passing ? 5 * MINUTE_MS : 6 * HOUR_MS)
  return verdict === 'METADATA_MISSING' ? Math.min(everyMs, 6 * HOUR_MS) : everyMs
}
