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
