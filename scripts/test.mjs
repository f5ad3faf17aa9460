// `npm test`: everything, on a machine where nothing was installed by hand. First lines use Node built-ins only.
//   npm test                     all suites
//   npm test -- unit integration only these
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureDependencies } from './ensure-dependencies.mjs'
import { runChild } from './run-child.mjs'

const SUITES = ['unit', 'integration', 'e2e', 'faults', 'real-flink']
const FAILURE_LENGTH = 8_000
const root = fileURLToPath(new URL('..', import.meta.url))
const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !SUITES.includes(name))
if (unknown.length > 0) {
  console.error(`There is no suite ${unknown.join(', ')}; there are ${SUITES.join(', ')}.`)
  process.exit(2)
}

await ensureDependencies()
const steps = [
  ['Building', 'npm', ['run', '--silent', 'build']],
  ...(asked.length === 0
    ? [
        ['Format, lint and imports', 'npx', ['biome', 'check', '.']],
        ['Types', 'npx', ['tsc', '-p', '.']],
        ['Unused code', 'npx', ['knip']],
        ['OpenAPI lint', 'npx', ['redocly', 'lint', 'openapi/openapi.json']],
        ['Requirements', 'npm', ['run', '--silent', 'requirements', '--', '--check']],
      ]
    : []),
]
for (const [what, command, args] of steps) {
  console.log(`\n== ${what}`)
  const code = await run(command, args)
  if (code !== 0) {
    console.error(`${what} failed.`)
    process.exit(code)
  }
}

const folder = mkdtempSync(join(tmpdir(), 'tidemark-test-'))
const counts = { passed: 0, failed: 0, skipped: 0 }
const failures = []
let failed = false
// One suite after the other: two cores are not many, and a real Flink wants both of them.
for (const suite of asked.length > 0 ? asked : SUITES) {
  console.log(`\n== ${suite}`)
  const report = join(folder, `${suite}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const code = await run('npx', ['vitest', 'run', '--project', suite, ...reporters])
  failed ||= code !== 0
  count(suite, report)
}
rmSync(folder, { recursive: true, force: true })
// A suite's own words are far above by now: whoever reads only the end shall know what failed and why.
for (const failure of failures) console.error(`\nFAILED ${failure.slice(0, FAILURE_LENGTH)}`)
if (counts.skipped > 0 && process.env.CI === 'true') {
  console.error(`${counts.skipped} tests were skipped; in CI none may be.`)
  failed = true
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exit(failed ? 1 : 0)

function run(command, args) {
  return runChild(command, args, {
    cwd: root,
    env: {
      ...process.env,
      TIDEMARK_TEST_SKIP_BUILD: '1',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      GOMEMLIMIT: process.env.GOMEMLIMIT ?? '4GiB', // the type checker's heap
    },
  })
}

function count(suite, report) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      readFileSync(report, 'utf8'),
    )
    counts.passed += numPassedTests
    counts.failed += numFailedTests
    counts.skipped += numPendingTests + numTodoTests
    for (const { name, message, assertionResults } of testResults) {
      const file = relative(root, name)
      if (message !== '' && assertionResults.length === 0) failures.push(`${suite} ${file}\n${message}`)
      for (const test of assertionResults) {
        if (test.status !== 'failed') continue
        failures.push(`${suite} ${file}: ${test.fullName}\n${(test.failureMessages ?? []).join('\n')}`)
      }
    }
  } catch {
    counts.failed += 1 // the suite ended without a report
    failures.push(`${suite} ended without a report`)
    failed = true
  }
}
