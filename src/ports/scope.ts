/** What every statement carries: whose row it is, which page, which request. */

/** Whose row; every statement carries it. */
export type Scope = { namespaceId: string }
export type IdempotencyKey = { principal: string; route: string; key: string; bodyHash: string }
export type PageRequest = { pageSize: number; after: string | null }
export type PageOf<Item> = { items: Item[]; next: string | null }

/** How an insert guarded by an idempotency key ended: `replayed` names the resource of the first request. */
export type Inserted = { kind: 'inserted' } | { kind: 'replayed'; id: string } | { kind: 'key-reused' }
