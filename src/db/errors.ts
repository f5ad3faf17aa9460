/** What Postgres refused, in our words. Rules live in the database; this table says which code each one answers with. */
import { DomainError, type ErrorCode } from '../domain/errors.ts'
import { isConnectionFailure, violatedConstraint } from './client.ts'

type Refusal = { code: ErrorCode; message: string }

const nameTaken = (what: string): Refusal => ({
  code: 'NAME_TAKEN',
  message: `Another ${what} in this namespace already has this name.`,
})
const alreadyAttached = (by: string): Refusal => ({
  code: 'ALREADY_ATTACHED',
  message: `Another job already follows the Flink job with this ${by} on this cluster.`,
})

const REFUSALS: Readonly<Record<string, Refusal>> = {
  cluster_name_key: nameTaken('cluster'),
  storage_name_key: nameTaken('storage'),
  job_name_key: nameTaken('job'),
  job_attach_id_key: alreadyAttached('id'),
  job_attach_name_key: alreadyAttached('name'),
}

const nulCharacter: Refusal = { code: 'VALIDATION_FAILED', message: 'A text contains a NUL character.' }

/** By SQLSTATE. JSON may carry what Postgres cannot keep, in text and in jsonb; of a deadlock one side is given up whole. */
const BY_STATE: Readonly<Record<string, Refusal>> = {
  '22021': nulCharacter,
  '22P05': nulCharacter,
  '40P01': { code: 'OVERLOADED', message: 'Others were changing the same; nothing was changed, try again.' },
}

/** Prisma's own words for a database that was not there, or a pool or transaction that could not begin in time. */
const PRISMA_UNAVAILABLE = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037'])
const DRIVER_UNAVAILABLE = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
])

/** The repository with every error it throws put into our words, so that no method needs to remember to. */
export function withDomainErrors<Repository extends object>(repository: Repository): Repository {
  return new Proxy(repository, {
    get(target, property) {
      const member: unknown = Reflect.get(target, property)
      if (typeof member !== 'function') return member
      return async (...values: unknown[]): Promise<unknown> => {
        try {
          return await Reflect.apply(member, target, values)
        } catch (error) {
          throw toDomainError(error)
        }
      }
    },
  })
}

/** The DomainError that says the same; anything unforeseen stays what it was, and becomes an INTERNAL with its cause. */
export function toDomainError(error: unknown): unknown {
  if (error instanceof DomainError) return error
  const refusal = REFUSALS[constraintOf(error) ?? ''] ?? BY_STATE[codeOf(error)]
  if (refusal) return new DomainError(refusal.code, refusal.message, { cause: error })
  if (isUnavailable(error)) {
    return new DomainError('DATABASE_UNAVAILABLE', 'The database did not answer; try again.', {
      cause: error,
    })
  }
  return error
}

/** The violated unique constraint, whether `pg` or Prisma reports it. */
export function constraintOf(error: unknown): string | null {
  const index = readPath(error, ['meta', 'driverAdapterError', 'cause', 'constraint', 'index'])
  return typeof index === 'string' ? index : violatedConstraint(error)
}

/** The SQLSTATE or the error code of a socket, as the driver said it. */
const codeOf = (error: unknown): string =>
  String(
    readPath(error, ['meta', 'driverAdapterError', 'cause', 'originalCode']) ?? readPath(error, ['code']),
  )

function isUnavailable(error: unknown): boolean {
  const kind =
    readPath(error, ['meta', 'driverAdapterError', 'cause', 'kind']) ?? readPath(error, ['cause', 'kind'])
  return (
    PRISMA_UNAVAILABLE.has(String(readPath(error, ['code']))) ||
    DRIVER_UNAVAILABLE.has(String(kind)) ||
    isConnectionFailure({ code: codeOf(error) }) ||
    isConnectionFailure(error)
  )
}

function readPath(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (at, name) => (typeof at === 'object' && at !== null ? Reflect.get(at, name) : undefined),
    value,
  )
}
