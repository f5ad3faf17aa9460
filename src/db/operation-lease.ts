/** What workers of every kind of operation do with a row they hold: a write that comes after the lease changes nothing. */
import type { Database } from './client.ts'

type Held = { id: string; lease: string }

/** Of the row $1 by the lease $2. */
export const HELD = `lease_token = $2::uuid and lease_until > now() and ended_at is null`

export async function renewOperation(db: Database, work: Held, leaseMs: number): Promise<boolean> {
  const rows = await db.sql(
    `update operation set lease_until = now() + make_interval(secs => $3::float8 / 1000)
     where id = $1::uuid and ${HELD} returning id`,
    [work.id, work.lease, leaseMs],
    'renew-operation',
  )
  return rows.length === 1
}

/** Gives the lease back, also one that has run out and that nobody else has taken, and says when to look again. */
export async function releaseOperation(
  db: Database,
  work: Held,
  { nextActionInMs, tries }: { nextActionInMs: number; tries: number },
): Promise<boolean> {
  const rows = await db.sql(
    `update operation set next_action_at = now() + make_interval(secs => $3::float8 / 1000), tries = $4,
       lease_token = null, lease_until = null
     where id = $1::uuid and lease_token = $2::uuid and ended_at is null returning id`,
    [work.id, work.lease, nextActionInMs, tries],
    'release-operation',
  )
  return rows.length === 1
}
