/** Why a copy cannot be made, for good: it ends the operation. */
import { COPY_FAILED_CODES, type CopyFailedCode } from '../domain/failure-codes.ts'
import { codeOf } from './storage-errors.ts'

export class CopyFailure extends Error {
  readonly code: CopyFailedCode
  readonly findings: { code: string; message: string }[]

  constructor(code: CopyFailedCode, message: string, findings: CopyFailure['findings'] = []) {
    super(message)
    this.name = 'CopyFailure'
    this.code = code
    this.findings = findings
  }
}

/** null: it may pass by itself, so it is tried again. */
export function toCopyFailure(error: unknown): CopyFailure | null {
  if (error instanceof CopyFailure) return error
  const code = codeOf(error)
  const final = COPY_FAILED_CODES.find((each) => each === code)
  return final && error instanceof Error ? new CopyFailure(final, error.message) : null
}
