/**
 * `npm run faults -- --runs 20 --seed 1`: seeded random runs of test/faults, two at a time. A run that fails prints how to
 * see it again; the exit code is 1 then.
 */
import { parseArgs } from 'node:util'
import { provisionServices } from '../dev/services/provision.ts'
import { addUp, RULE_NAMES } from '../test/faults/checker.ts'
import { describeFailure, runSeeds } from '../test/faults/run.ts'
import buildDist from '../test/support/build-dist.ts'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '1' }, seed: { type: 'string', default: '1' } },
})
const [runs, seed] = [Number(values.runs), Number(values.seed)]
if (!Number.isInteger(runs) || !Number.isInteger(seed) || runs < 1) {
  console.error('Usage: npm run faults -- --runs <count> --seed <first seed>')
  process.exit(2)
}

const services = await provisionServices({ need: ['postgres'] })
Object.assign(process.env, services.env)
let failed = false
try {
  await buildDist()
  const seeds = Array.from({ length: runs }, (_, index) => seed + index)
  const reports = await runSeeds(seeds, (report) => {
    const { verdict, history, struck, tookMs } = report
    const kept = verdict.violations.length === 0
    failed ||= !kept
    console.log(
      `seed ${report.seed}: ${kept ? 'kept' : 'BROKEN'}, ${history.snapshots.length} savepoints, ${history.accepted.length} taken by Flink, ${history.clearings.length} clearings, ${history.firings.length} slots, ${history.calls.length + history.wishes.length} calls; started in ${tookMs.start}, faults ${tookMs.faults}, drained in ${tookMs.drain}, all ${tookMs.all} ms (${struck.join(', ')})`,
    )
    if (!kept) console.log(describeFailure(report))
  })
  const exercised = addUp(reports.map(({ verdict }) => verdict))
  for (const rule of RULE_NAMES) console.log(`${String(exercised[rule]).padStart(6)}  ${rule}`)
} finally {
  await services.stop()
}
process.exit(failed ? 1 : 0)
