import { DomainError } from './errors.ts'

/** `key=value` from a query string; several must all match. */
export function parseLabels(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=')
      if (equals < 1) {
        throw new DomainError('VALIDATION_FAILED', 'A label filter reads key=value.', {
          errors: [{ pointer: '/query/label', detail: `${JSON.stringify(pair)} is not key=value` }],
        })
      }
      return [pair.slice(0, equals), pair.slice(equals + 1)]
    }),
  )
}
