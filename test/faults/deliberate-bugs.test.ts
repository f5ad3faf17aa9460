/** Who watches the checker: each deliberate bug must be caught, and the same scenario without it must be clean. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDatabase, type TestDatabase } from '../../dev/services/database.ts'
import { migrate } from '../../src/db/migrate.ts'
import { MIGRATIONS } from '../support/database.ts'
import { checkHistory, type Verdict } from './checker.ts'
import { DELIBERATE_BUGS } from './deliberate-bugs.ts'
import { type Bug, type DeliberateBug, openLab } from './lab.ts'

/** By name first, so that a report shows the whole of it. */
const CASES = DELIBERATE_BUGS.map((bug) => [bug.name, bug] as const)
const adminUrl = process.env['TEST_DATABASE_URL'] ?? ''
let template: TestDatabase

beforeAll(async () => {
  template = await createDatabase(adminUrl, 'lab-template')
  await migrate(template.url, MIGRATIONS)
})
afterAll(() => template.drop())

async function play({ scenario }: DeliberateBug, bug: Bug): Promise<Verdict> {
  const lab = await openLab(adminUrl, template.name, bug)
  try {
    await scenario(lab)
    return checkHistory(await lab.finish())
  } finally {
    await lab.close()
  }
}

describe('a deliberate bug is caught', () => {
  it('and there are more than twenty of them', () => {
    expect(DELIBERATE_BUGS.length).toBeGreaterThan(20)
  })

  // A scenario that a busy machine plays too late shows nothing: it may be played again. A bug that is never caught fails.
  it.concurrent.each(CASES)('%s', { retry: 2 }, async (_name, bug) => {
    const { violations } = await play(bug, bug)
    const broken = new Set(violations.map(({ rule }) => rule))
    expect(
      bug.breaks.filter((rule) => broken.has(rule)),
      JSON.stringify(violations, null, 1),
    ).not.toEqual([])
  })
})

describe('without the bug every invariant holds', () => {
  it.concurrent.each(CASES)('not: %s', async (_name, bug) => {
    expect((await play(bug, {})).violations).toEqual([])
  })
})
