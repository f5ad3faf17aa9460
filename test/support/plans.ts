/** What a statement would read of a large table: EXPLAIN ANALYZE of what is really sent to Postgres, at a million rows. */
import type { Database } from '../../src/db/client.ts'
import { openMigratedDatabase, type TestDatabase } from './database.ts'
import { createTenants, type Tenant } from './fixtures.ts'
import { seedSnapshots } from './seed-snapshots.ts'

export const MANY = 1_000_000

/** One job of ours with a million snapshots, beside another tenant. */
export async function openMany(
  prefix: string,
): Promise<{ database: TestDatabase; ours: Tenant; theirs: Tenant }> {
  const database = await openMigratedDatabase(prefix)
  const { ours, theirs } = await createTenants(database.db)
  const { caller, jobId, runId, storageId } = ours
  const job = { namespaceId: caller.namespaceId, jobId, runId, storageId }
  await seedSnapshots(database.db.pool, job, MANY, new Date(Date.now() - 60_000))
  return { database, ours, theirs }
}

export type PlanNode = {
  'Node Type': string
  'Relation Name'?: string
  'Actual Rows'?: number
  'Actual Loops'?: number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  Plans?: PlanNode[]
}

const flatten = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(flatten)]

/** A database that answers as usual and keeps the plan of every statement. */
export function explaining(real: Database): { db: Database; plan: PlanNode[] } {
  const plan: PlanNode[] = []
  const db: Database = {
    ...real,
    async sql(text, values, name) {
      const [row] = await real.sql<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
        `explain (analyze, format json) ${text}`,
        values,
      )
      const root = row?.['QUERY PLAN'][0].Plan
      if (root) plan.push(...flatten(root))
      return real.sql(text, values, name)
    },
  }
  return { db, plan }
}

export const nodesOf = (plan: readonly PlanNode[], table: string): PlanNode[] =>
  plan.filter((node) => node['Relation Name'] === table)

/** Of one table, whether used or thrown away by a filter. */
export const rowsRead = (plan: readonly PlanNode[], table: string): number =>
  nodesOf(plan, table).reduce(
    (sum, node) =>
      sum +
      ((node['Actual Rows'] ?? 0) +
        (node['Rows Removed by Filter'] ?? 0) +
        (node['Rows Removed by Index Recheck'] ?? 0)) *
        (node['Actual Loops'] ?? 1),
    0,
  )
