/**
 * Seeded random runs, two at a time: clients order, faults strike, then everything drains and every invariant must hold.
 * A run that breaks one prints its seed and what it saw; `npm run faults -- --runs 1 --seed S` plays it again.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addUp, RULE_NAMES, type RuleName } from './checker.ts'
import { describeFailure, planRun, type RunReport, runSeeds } from './run.ts'
import { STRIKE_NAMES } from './strikes.ts'

const FIRST_SEED = Number(process.env['TIDEMARK_TEST_FAULTS_SEED'] ?? 1)
const SEEDS = Array.from({ length: 20 }, (_, index) => FIRST_SEED + index)

/** How often a rule must have had something to say over all runs, or the suite proves nothing. */
const MINIMUM: Record<RuleName, number> = {
  'I1 left Creating in time': 5,
  'I2 one savepoint per attempt': 40,
  'I2 own trigger id and directory': 40,
  'I2 proof before the next attempt': 3,
  'I2 no failure without proof': 5,
  'I4 legal, once each': 40,
  'I4 status is the last transition': 40,
  'I5 acknowledged exists': 60,
  'I5 one key, one snapshot': 10,
  'I7 late completion is adopted': 1, // by chance; a scenario of deliberate-bugs exercises it every time
  'I7 nothing completed is lost': 30,
  'I9 drains': 5,
  'Present has _metadata': 30,
  'one unsettled savepoint per job': 20,
  'ended runs have ended': 20,
  'I3 only below what is being cleared': 40,
  'I3 nothing that Present needs': 40,
  'I5 what was acknowledged is done': 60,
  'I6 Cleared is gone': 15,
  'I6 a failing clear stays visible': 0, // by chance, too, and seldom
  'I8 no rule takes the newest': 4,
  'I8 what a run began with stays': 20,
  'rules keep to what they own': 4,
  'one savepoint per slot': 10,
}

const reports = new Map<number, RunReport>()
const failures: unknown[] = []
let waiting: (() => void)[] = []
let running: Promise<unknown> = Promise.resolve()

const wake = () => {
  for (const each of waiting.splice(0)) each()
}

beforeAll(() => {
  waiting = []
  running = runSeeds(SEEDS, (report) => {
    reports.set(report.seed, report)
    wake()
  })
    .catch((error: unknown) => failures.push(error))
    .finally(wake)
})
afterAll(() => running)

async function reportOf(seed: number): Promise<RunReport> {
  for (;;) {
    const report = reports.get(seed)
    if (report) return report
    if (failures.length > 0) throw failures[0]
    await new Promise<void>((resolve) => waiting.push(resolve))
  }
}

describe('random runs', () => {
  it.each(SEEDS)('seed %i keeps every invariant', async (seed) => {
    const report = await reportOf(seed)
    expect(report.verdict.violations, describeFailure(report)).toEqual([])
  })

  it('strike with every kind of fault', async () => {
    const plans = await Promise.all(SEEDS.map(planRun))
    const struck = new Set(plans.flatMap(({ strikes }) => strikes.map(({ name }) => name)))
    expect(STRIKE_NAMES.filter((name) => !struck.has(name))).toEqual([])
  })

  it('exercise every invariant often enough', async () => {
    await running
    const exercised = addUp([...reports.values()].map(({ verdict }) => verdict))
    console.log(RULE_NAMES.map((rule) => `${String(exercised[rule]).padStart(6)}  ${rule}`).join('\n'))
    const tooRare = RULE_NAMES.filter((rule) => exercised[rule] < MINIMUM[rule])
    expect(tooRare.map((rule) => `${rule}: ${exercised[rule]} of ${MINIMUM[rule]}`)).toEqual([])
  })
})
