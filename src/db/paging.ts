/**
 * Opaque page tokens: base64url of `[createdAt, id]` of the last row shown, and of the order they continue. Lists go by
 * the row-value keyset `(created_at, id) < ($1, $2)`, newest first, which an index answers however deep the page lies.
 */
import { validate } from 'uuid'
import { DomainError } from '../domain/errors.ts'
import type { PageOf } from '../ports/scope.ts'

/** Where a page ended. The instant is RFC 3339 with milliseconds, the whole precision of our timestamp columns. */
export type PageKey = readonly [at: string, id: string]

const NEWEST_FIRST = 'createdAt-desc'

export const encodePageToken = (key: PageKey, shape = NEWEST_FIRST): string =>
  Buffer.from(JSON.stringify([...key, shape])).toString('base64url')

/** Throws PAGE_TOKEN_INVALID for what is no token, or one of a list with another order or other ids. */
export function decodePageToken(
  token: string,
  shape = NEWEST_FIRST,
  isId: (id: string) => boolean = validate,
): PageKey {
  const [at, id, tokenShape] = parseArray(Buffer.from(token, 'base64url').toString('utf8'))
  if (tokenShape !== shape || !isInstant(at) || typeof id !== 'string' || !isId(id)) throw invalidToken()
  return [at, id]
}

/** The key a newest-first list goes on from, as two query parameters; nulls begin at the newest row. */
export const startAfter = (token: string | null): PageKey | [null, null] =>
  token === null ? [null, null] : decodePageToken(token)

/** Of `pageSize + 1` rows in order: the page, and where it ended when there is more. */
export function toPage<Row, Item>(
  rows: readonly Row[],
  pageSize: number,
  tokenOf: (row: Row) => string,
  toItem: (row: Row) => Item,
): PageOf<Item> {
  const shown = rows.slice(0, pageSize)
  const last = shown.at(-1)
  return {
    items: shown.map(toItem),
    next: rows.length > pageSize && last !== undefined ? tokenOf(last) : null,
  }
}

/** The token after a row of a newest-first list. */
export const tokenAfter = (row: { created_at: string; id: string }): string =>
  encodePageToken([row.created_at, row.id])

/** Dates that do not exist never reach Postgres, which would answer with an error of its own. */
const isInstant = (value: unknown): value is string =>
  typeof value === 'string' && !Number.isNaN(Date.parse(value)) && new Date(value).toISOString() === value

function parseArray(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

export const invalidToken = (): DomainError =>
  new DomainError('PAGE_TOKEN_INVALID', 'The page token is not one that this list gave out.', {
    errors: [{ pointer: '/query/pageToken', detail: 'not a page token of this list' }],
  })
