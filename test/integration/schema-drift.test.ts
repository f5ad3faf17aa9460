import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { findDrift } from '../support/prisma-engine.ts'

const SCHEMA = readFileSync('prisma/schema.prisma', 'utf8')

let database: TestDatabase

beforeAll(async () => {
  database = await openMigratedDatabase('schema-drift')
}, 60_000)
afterAll(() => database.drop())

const change = (from: string, to: string): string => {
  expect(SCHEMA).toContain(from)
  return SCHEMA.replace(from, to)
}

describe('schema.prisma and the migrations', () => {
  it('agree', async () => {
    expect(await findDrift(database.url, SCHEMA)).toEqual({
      differs: false,
      script: expect.not.stringContaining('TABLE'),
    })
  }, 30_000)

  it('are told apart when a column is only in the schema', async () => {
    const schema = change('  clusters   Cluster[]\n', '  clusters   Cluster[]\n  region     String?\n')
    const { differs, script } = await findDrift(database.url, schema)
    expect(differs).toBe(true)
    expect(script).toMatch(/ALTER TABLE "namespace" ADD COLUMN\s+"region" TEXT/)
  }, 30_000)

  it('are told apart when an index or a default is only in the migrations', async () => {
    const schema = change('  @@index([clusterId])\n', '').replace('@default(1800) ', '')
    const { differs, script } = await findDrift(database.url, schema)
    expect(differs).toBe(true)
    expect(script).toContain('DROP INDEX "job_cluster_id_idx"')
    expect(script).toContain('ALTER COLUMN "savepoint_timeout_seconds" DROP DEFAULT')
  }, 30_000)
})
