/** What a user can mend: its message is the one sentence that `tidemark up` ends with. */
export class UpError extends Error {
  override name = 'UpError'
}

/** The first line of whatever was thrown: enough to say what went wrong, without a stack. */
export const sayError = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  return message.split('\n')[0] ?? message
}
