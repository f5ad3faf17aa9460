/**
 * One pool for both ways in: Prisma for plain reads and writes, `sql` for the statements that are hot or that Prisma
 * cannot say. Raw rows carry instants as RFC 3339 UTC text and 64-bit numbers as JavaScript numbers (the API promises
 * 2^53 − 1; a larger one throws rather than lies).
 */
import { PrismaPg } from '@prisma/adapter-pg'
import { Pool, type PoolClient, types } from 'pg'
import { DomainError } from '../domain/errors.ts'
import { PrismaClient } from './generated/client.ts'

export type Row = Record<string, unknown>

/** One statement. `name` prepares it once per connection: for hot, fixed texts only. */
export type Sql = <Result extends Row>(
  text: string,
  values?: readonly unknown[],
  name?: string,
) => Promise<Result[]>

export type Database = {
  pool: Pool
  prisma: PrismaClient
  sql: Sql
  /**
   * Statements of one connection, committed together when `work` resolves: for what is hot, or takes longer than a
   * transaction of Prisma's may.
   */
  transaction<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result>
  close(): Promise<void>
}

export type DatabaseOptions = {
  url: string
  poolSize: number
  applicationName: string
  /** Called when an idle connection breaks; the pool replaces it. */
  onError?: (error: Error) => void
}

const INT8 = 20
const TIMESTAMPTZ = 1184

export function openDatabase(options: DatabaseOptions): Database {
  const pool = new Pool({
    connectionString: options.url,
    max: options.poolSize,
    application_name: options.applicationName,
    connectionTimeoutMillis: 5_000,
    // what a connection has prepared is worth more than the memory it holds: planned anew, a burst costs Postgres twice
    idleTimeoutMillis: 600_000,
    statement_timeout: 30_000,
    options: '-c timezone=UTC',
    types: { getTypeParser },
  })
  pool.on('error', (error) => options.onError?.(error))
  // The pool listens to idle connections only. One that breaks between two statements of a transaction fails the next of
  // them; without a listener of its own it would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { disposeExternalPool: false }) })

  return {
    pool,
    prisma,
    sql: sqlOf(pool),
    async transaction(work) {
      const client = await pool.connect().catch(throwUnavailable)
      let broken: unknown
      try {
        const sql = sqlOf(client)
        await sql('begin')
        const result = await work(sql)
        await sql('commit')
        return result
      } catch (error) {
        await client.query('rollback').catch((failure: unknown) => {
          broken = failure
        })
        throw error
      } finally {
        client.release(broken instanceof Error ? broken : undefined)
      }
    },
    async close() {
      await prisma.$disconnect()
      await pool.end()
    },
  }
}

const sqlOf =
  (at: Pool | PoolClient): Sql =>
  async <Result extends Row>(text: string, values: readonly unknown[] = [], name?: string) => {
    const { rows } = await at
      .query<Result>({ text, values: [...values], ...(name ? { name } : {}) })
      .catch(throwUnavailable)
    return rows
  }

function throwUnavailable(error: unknown): never {
  if (!isConnectionFailure(error)) throw error
  throw new DomainError('DATABASE_UNAVAILABLE', 'The database did not answer; try again.', { cause: error })
}

/** `code` of a Postgres or socket error. */
export const errorCode = (error: unknown): string | null =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : null

export const violatedConstraint = (error: unknown): string | null =>
  errorCode(error) === '23505' && typeof error === 'object' && error !== null && 'constraint' in error
    ? String(error.constraint)
    : null

/** Nothing is known about the statement's effect, or the server was not there: try again later. */
export function isConnectionFailure(error: unknown): boolean {
  const code = errorCode(error)
  if (code !== null) {
    return /^(08|57P0|53300)/.test(code) || /^E(CONN|PIPE|TIMEDOUT|HOSTUNREACH|AI_AGAIN|NOTFOUND)/.test(code)
  }
  return (
    error instanceof Error &&
    /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(
      error.message,
    )
  )
}

function getTypeParser(oid: number, format?: 'text' | 'binary') {
  if (oid === INT8) return toSafeNumber
  if (oid === TIMESTAMPTZ) return toInstant
  return types.getTypeParser(oid, format)
}

function toSafeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} is beyond 2^53 - 1`)
  return value
}

const WITH_MILLISECONDS = '2026-11-21 02:00:51.123+00'.length

/** `2026-11-21 02:00:51.1+00` (sessions run in UTC) to `2026-11-21T02:00:51.100Z`, without a Date in between. */
export function toInstant(text: string): string {
  if (text.length === WITH_MILLISECONDS) return `${text.slice(0, 10)}T${text.slice(11, 23)}Z` // nine of ten
  const [whole = '', fraction = ''] = text.slice(0, -3).split('.')
  return `${whole.replace(' ', 'T')}.${fraction.padEnd(3, '0').slice(0, 3)}Z`
}
