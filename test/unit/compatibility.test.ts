/** The verdict by rule, over `_metadata` files that Flink wrote. */
import { describe, expect, it } from 'vitest'
import type {
  CompatibilityQuestion,
  CompatibilityVerdict,
  KnownOperators,
} from '../../src/domain/compatibility.ts'
import { defaultMaxParallelism, finding, isSameProgram } from '../../src/domain/compatibility-program.ts'
import type { InspectionSummary } from '../../src/domain/inspection.ts'
import type { JobVersionSpec } from '../../src/domain/job-version.ts'
import { concludeCompatibility, judgeCompatibility } from '../../src/domain/judge-compatibility.ts'
import { toInspectionSummary } from '../../src/domain/snapshot-files.ts'
import { readMetadata } from '../../src/metadata/read-metadata.ts'
import { summarize } from '../../src/metadata/summarize.ts'
import { sample } from './metadata/samples.ts'

/** With the max parallelism that Flink chooses by itself: the tests behind the samples set 4. */
const read = async (name: string): Promise<InspectionSummary> => {
  const summary = toInspectionSummary(summarize(await readMetadata(sample(name).bytes)))
  return { ...summary, operators: summary.operators.map((one) => ({ ...one, maxParallelism: 128 })) }
}

/** Two keyed operators, a source, two without state. */
const CANONICAL = await read('v4-flink1.18-udf-hashmap-savepoint')
const HASHMAP = await read('v6-flink2.2-udf-hashmap-savepoint-native')
const TABLES_OF_1 = await read('v4-flink1.20-udf-rocksdb-savepoint-native')
const TABLES_OF_2 = await read('v6-flink2.1-udf-rocksdb-savepoint-native')
const GROUPS_OF_1 = await read('v4-flink1.18-broadcast-hashmap-savepoint-native')
const UNALIGNED = await read('v4-flink1.17-udf-rocksdb-checkpoint-unaligned')
const CHANGELOG = await read('v4-flink1.17-udf-hashmap-checkpoint-changelog')
const NON_KEYED = await read('v6-flink2.2-operator-nonkeyed')
const SQL = await read('v6-sql-flink2.2-delta-join')
const DRAINED = { ...CANONICAL, properties: await terminating() }

const SPEC: JobVersionSpec = { artifact: 'sha256:1', entryClass: 'Job', programArgs: ['--a'], parallelism: 4 }
const KEYED_ID = 'd5c8'

type Given = {
  summary?: InspectionSummary
  flinkVersion?: string | null
  writtenOn?: string | null
  /** Of the version that is to run, over `SPEC`. */
  spec?: Partial<JobVersionSpec>
  /** Of the version that wrote it; null: not known. */
  before?: Partial<JobVersionSpec> | null
  basis?: KnownOperators['basis'] | null
  operators?: (operators: InspectionSummary['operators']) => KnownOperators['operators']
  sameCluster?: boolean
}

function judge(given: Given) {
  const {
    summary = CANONICAL,
    flinkVersion = '1.18.1',
    writtenOn = null,
    before = {},
    sameCluster = true,
  } = given
  const spec = { ...SPEC, ...given.spec }
  const old = before && { ...SPEC, ...before }
  const basis = given.basis === undefined ? 'SAME_PROGRAM' : given.basis
  const question: CompatibilityQuestion = {
    snapshot: {
      summary,
      flinkVersion: writtenOn,
      writtenBy: old && { spec: old, sameVersion: false },
      sameCluster,
    },
    version: { number: 2, spec },
    flinkVersion,
    known: basis && {
      basis,
      snapshot: 'a-snapshot',
      version: basis === 'OWN' ? 2 : 1,
      spec: basis === 'OWN' ? spec : (old ?? SPEC),
      operators: (given.operators ?? ((all) => all))(summary.operators),
    },
  }
  return judgeCompatibility(question)
}

const codes = (given: Given): string[] =>
  judge(given).findings.map(({ severity, code }) => `${severity} ${code}`)

describe('the verdict', () => {
  const CASES: [string, Given, CompatibilityVerdict, string[]][] = [
    ['the same again', {}, 'COMPATIBLE', []],
    // ------------------------------------------------------------------------------------------- releases
    ['a Flink never seen', { flinkVersion: null }, 'UNKNOWN', ['UNKNOWN FLINK_VERSION_UNKNOWN']],
    ['a Flink that cannot read it', { flinkVersion: '1.15.4' }, 'INCOMPATIBLE', ['BLOCKS METADATA_TOO_NEW']],
    ['V6 on 2.0', { summary: NON_KEYED, flinkVersion: '2.0.1' }, 'INCOMPATIBLE', ['BLOCKS METADATA_TOO_NEW']],
    ['a newer minor', { writtenOn: '1.18.1', flinkVersion: '1.20.4' }, 'COMPATIBLE', []],
    [
      'an older one that reads it',
      { writtenOn: '1.20.4', flinkVersion: '1.18.1' },
      'COMPATIBLE',
      ['WARNS FLINK_DOWNGRADE'],
    ],
    [
      'an older one, perhaps',
      {
        writtenOn: null,
        flinkVersion: '1.18.1',
        summary: { ...CANONICAL, flinkVersions: { from: '1.16', to: '1.20' } },
      },
      'COMPATIBLE',
      ['WARNS FLINK_DOWNGRADE'],
    ],
    [
      'another major',
      { flinkVersion: '2.3.0', writtenOn: '1.20.4' },
      'UNKNOWN',
      ['UNKNOWN FLINK_MAJOR_UPGRADE'],
    ],
    [
      'data in flight for another minor',
      {
        summary: UNALIGNED,
        writtenOn: '1.17.2',
        flinkVersion: '1.20.4',
        spec: { state: { backend: 'rocksdb' } },
      },
      'UNKNOWN',
      ['UNKNOWN UNALIGNED_UPGRADE'],
    ],
    ['a drained one', { summary: DRAINED }, 'COMPATIBLE', ['WARNS DRAINED']],
    // ------------------------------------------------------------------------------------------ operators
    ['nothing known of the version', { basis: null }, 'UNKNOWN', ['UNKNOWN OPERATORS_UNKNOWN']],
    [
      'an operator with state removed',
      { operators: (all) => all.filter(({ id }) => !id.startsWith(KEYED_ID)) },
      'PARTLY',
      ['DROPS_STATE OPERATOR_REMOVED'],
    ],
    [
      'those without state removed',
      { operators: (all) => all.filter(({ stateSize }) => stateSize !== '0') },
      'COMPATIBLE',
      [],
    ],
    [
      'an operator added',
      {
        operators: (all) => [
          ...all,
          { id: 'ff'.repeat(16), name: null, uid: null, parallelism: 4, maxParallelism: 128 },
        ],
      },
      'COMPATIBLE',
      ['NOTE OPERATOR_ADDED'],
    ],
    [
      'another jar',
      { before: { artifact: 'sha256:0' }, basis: 'OWN' },
      'COMPATIBLE',
      ['WARNS SERIALIZERS_NOT_VISIBLE'],
    ],
    [
      'nobody knows what wrote it',
      { before: null, basis: 'OWN' },
      'COMPATIBLE',
      ['WARNS SERIALIZERS_NOT_VISIBLE'],
    ],
    [
      'another SQL program',
      {
        summary: SQL,
        flinkVersion: '2.2.0',
        writtenOn: '2.2.0',
        before: { artifact: 'sha256:0' },
        basis: 'OWN',
      },
      'COMPATIBLE',
      ['WARNS SERIALIZERS_NOT_VISIBLE', 'WARNS SQL_STATE'],
    ],
    [
      'data in flight for another program',
      {
        summary: UNALIGNED,
        writtenOn: '1.17.2',
        flinkVersion: '1.17.2',
        before: { artifact: 'sha256:0' },
        basis: 'OWN',
        spec: { state: { backend: 'rocksdb' } },
      },
      'UNKNOWN',
      ['UNKNOWN UNALIGNED_PROGRAM_CHANGED', 'WARNS SERIALIZERS_NOT_VISIBLE'],
    ],
    [
      'finished operators',
      { summary: { ...CANONICAL, operators: finish(CANONICAL) } },
      'COMPATIBLE',
      ['NOTE OPERATOR_FINISHED'],
    ],
    [
      'finished operators in another program',
      {
        summary: { ...CANONICAL, operators: finish(CANONICAL) },
        before: { artifact: 'sha256:0' },
        basis: 'OWN',
      },
      'UNKNOWN',
      ['UNKNOWN OPERATOR_FINISHED', 'WARNS SERIALIZERS_NOT_VISIBLE'],
    ],
    // ---------------------------------------------------------------------------------------- parallelism
    ['the same max parallelism said', { spec: { maxParallelism: 128 } }, 'COMPATIBLE', []],
    [
      'another one said',
      { spec: { maxParallelism: 256 }, summary: only(CANONICAL, KEYED_ID) },
      'INCOMPATIBLE',
      ['BLOCKS MAX_PARALLELISM_CHANGED'],
    ],
    [
      'another one in the Flink configuration, which outranks it',
      {
        spec: { maxParallelism: 128, flinkConfiguration: { 'pipeline.max-parallelism': '256' } },
        before: { flinkConfiguration: {} },
        summary: only(CANONICAL, KEYED_ID),
      },
      'INCOMPATIBLE',
      ['BLOCKS MAX_PARALLELISM_CHANGED'],
    ],
    [
      'one of the program itself, which outranks both',
      { spec: { maxParallelism: 256 }, before: { maxParallelism: 64 }, summary: only(CANONICAL, KEYED_ID) },
      'COMPATIBLE',
      [],
    ],
    [
      'another one said, and nothing known of the operators',
      { spec: { maxParallelism: 256 }, basis: null, summary: only(CANONICAL, KEYED_ID) },
      'UNKNOWN',
      ['UNKNOWN OPERATORS_UNKNOWN', 'UNKNOWN MAX_PARALLELISM_UNCERTAIN'],
    ],
    [
      'nobody says one, and a run of the version had another',
      {
        summary: only(CANONICAL, KEYED_ID),
        basis: 'OWN',
        operators: (all) => all.map((one) => ({ ...one, maxParallelism: 256 })),
      },
      'UNKNOWN',
      ['UNKNOWN MAX_PARALLELISM_UNCERTAIN'],
    ],
    [
      'more subtasks than the state can be spread over',
      { spec: { parallelism: 129 }, summary: only(CANONICAL, KEYED_ID) },
      'INCOMPATIBLE',
      ['BLOCKS PARALLELISM_ABOVE_MAX', 'WARNS OPERATOR_ID_GENERATED'],
    ],
    [
      'the same, and nothing known of the operators',
      { spec: { parallelism: 129 }, summary: only(CANONICAL, KEYED_ID), basis: null },
      'UNKNOWN',
      ['UNKNOWN OPERATORS_UNKNOWN', 'UNKNOWN PARALLELISM_ABOVE_MAX'],
    ],
    [
      'fewer subtasks',
      { spec: { parallelism: 2 }, summary: only(CANONICAL, KEYED_ID) },
      'COMPATIBLE',
      ['WARNS OPERATOR_ID_GENERATED', 'NOTE RESCALED'],
    ],
    [
      'a max parallelism that nobody says and Flink would not choose',
      {
        summary: {
          ...CANONICAL,
          operators: CANONICAL.operators.map((one) => ({ ...one, maxParallelism: 64 })),
        },
      },
      'COMPATIBLE',
      ['NOTE MAX_PARALLELISM_RESTORED'],
    ],
    [
      'fewer subtasks, of an operator that fixes its own',
      { spec: { parallelism: 2 }, before: { parallelism: 3 }, summary: only(CANONICAL, KEYED_ID) },
      'COMPATIBLE',
      ['WARNS OPERATOR_ID_GENERATED'],
    ],
    [
      'fewer subtasks of operators with a uid',
      {
        summary: only(HASHMAP, KEYED_ID),
        flinkVersion: '2.2.0',
        spec: { parallelism: 2, state: { backend: 'hashmap' } },
      },
      'COMPATIBLE',
      ['NOTE RESCALED'],
    ],
    [
      'fewer subtasks of operators without one',
      {
        summary: {
          ...HASHMAP,
          operators: only(HASHMAP, KEYED_ID).operators.map((one) => ({ ...one, uid: null })),
        },
        flinkVersion: '2.2.0',
        spec: { parallelism: 2, state: { backend: 'hashmap' } },
      },
      'UNKNOWN',
      ['UNKNOWN OPERATOR_ID_GENERATED', 'NOTE RESCALED'],
    ],
    [
      'data in flight spread anew',
      {
        summary: only(UNALIGNED, KEYED_ID),
        writtenOn: '1.17.2',
        flinkVersion: '1.17.2',
        spec: { parallelism: 2, state: { backend: 'rocksdb' } },
      },
      'COMPATIBLE',
      ['WARNS OPERATOR_ID_GENERATED', 'WARNS UNALIGNED_RESCALE', 'NOTE RESCALED'],
    ],
  ]
  it.each(CASES)('of %s', (_, given, verdict, expected) => {
    const found = codes({ writtenOn: given.flinkVersion ?? '1.18.1', ...given })
    expect([judge({ writtenOn: given.flinkVersion ?? '1.18.1', ...given }).verdict, found]).toEqual([
      verdict,
      expected,
    ])
  })

  type BackendCase = [InspectionSummary, string | null, string | undefined, string | undefined, string[]]
  /** What wrote it, on which Flink, the backend its version named, the one that is to run. */
  const BACKENDS: Record<string, BackendCase> = {
    'canonical into hashmap': [CANONICAL, '1.18.1', 'rocksdb', 'hashmap', []],
    'canonical into rocksdb': [CANONICAL, '1.18.1', 'hashmap', 'rocksdb', []],
    'canonical into forst': [CANONICAL, '1.18.1', 'hashmap', 'forst', ['UNKNOWN BACKEND_UNCERTAIN']],
    'hashmap into itself': [HASHMAP, '2.2.0', undefined, 'hashmap', []],
    'hashmap into rocksdb': [HASHMAP, '2.2.0', undefined, 'rocksdb', ['BLOCKS BACKEND_CHANGED']],
    'tables of 1.x into rocksdb': [TABLES_OF_1, '1.20.4', undefined, 'rocksdb', []],
    'tables of 1.x into hashmap': [TABLES_OF_1, '1.20.4', undefined, 'hashmap', ['BLOCKS BACKEND_CHANGED']],
    'tables of rocksdb into itself': [TABLES_OF_2, '2.1.0', 'rocksdb', 'rocksdb', []],
    'tables of 2.x into hashmap': [TABLES_OF_2, '2.1.0', undefined, 'hashmap', ['BLOCKS BACKEND_CHANGED']],
    'tables of 2.x, of whom is not said': [
      TABLES_OF_2,
      '2.1.0',
      undefined,
      'rocksdb',
      ['UNKNOWN BACKEND_UNCERTAIN'],
    ],
    'tables of rocksdb into forst': [TABLES_OF_2, '2.1.0', 'rocksdb', 'forst', ['UNKNOWN BACKEND_UNCERTAIN']],
    'key groups of an older Flink into rocksdb': [
      GROUPS_OF_1,
      '1.18.1',
      undefined,
      'rocksdb',
      ['UNKNOWN BACKEND_UNCERTAIN'],
    ],
    'key groups of 1.20 into rocksdb': [
      GROUPS_OF_1,
      '1.20.4',
      undefined,
      'rocksdb',
      ['BLOCKS BACKEND_CHANGED'],
    ],
    'a class of its own': [HASHMAP, '2.2.0', undefined, 'my.own.Backend', ['UNKNOWN BACKEND_UNCERTAIN']],
    'left to the cluster by both': [HASHMAP, '2.2.0', undefined, undefined, ['WARNS BACKEND_OF_THE_CLUSTER']],
    'left to the cluster by the new one': [
      HASHMAP,
      '2.2.0',
      'hashmap',
      undefined,
      ['UNKNOWN BACKEND_UNCERTAIN'],
    ],
    'operator state alone': [NON_KEYED, '2.2.0', 'hashmap', 'my.own.Backend', []],
  }
  it.each(Object.entries(BACKENDS))('of %s', (_, [summary, flinkVersion, before, after, expected]) => {
    const state = (backend: string | undefined) => (backend === undefined ? {} : { state: { backend } })
    const given = {
      summary,
      flinkVersion,
      writtenOn: flinkVersion,
      before: state(before),
      spec: state(after),
    }
    expect(codes(given)).toEqual(expected)
  })

  it('does not take another cluster for the same configuration', () => {
    const given = { summary: HASHMAP, flinkVersion: '2.2.0', writtenOn: '2.2.0', sameCluster: false }
    expect(codes(given)).toEqual(['UNKNOWN BACKEND_UNCERTAIN'])
  })

  it('tells what the changelog backend needs, in both directions', () => {
    const flink = { flinkVersion: '1.17.2', writtenOn: '1.17.2' }
    const hashmap = { backend: 'hashmap' }
    expect(
      codes({ ...flink, summary: CHANGELOG, before: { state: hashmap }, spec: { state: hashmap } }),
    ).toEqual(['WARNS CHANGELOG_SWITCHED'])
    const on = { state: { ...hashmap, changelog: true } }
    expect(codes({ ...flink, summary: CHANGELOG, before: on, spec: on })).toEqual([
      'WARNS CHANGELOG_NEEDS_CLAIM',
    ])
  })

  it('says what to do wherever something stands in the way', () => {
    const all = [
      { flinkVersion: null },
      { flinkVersion: '1.15.0' },
      { basis: null },
      { spec: { maxParallelism: 9 } },
    ]
    for (const given of all) {
      const severe = judge(given).findings.filter(({ severity }) => /BLOCKS|UNKNOWN|DROPS/.test(severity))
      expect(severe.length).toBeGreaterThan(0)
      for (const { act, message } of severe) {
        expect(act).toEqual(expect.stringMatching(/\S/))
        expect(message).not.toContain('undefined')
      }
    }
  })

  it('never promises PARTLY while something else is not known', () => {
    const drops = finding('DROPS_STATE', 'OPERATOR_REMOVED', 'removed')
    expect(concludeCompatibility([drops]).verdict).toBe('PARTLY')
    expect(concludeCompatibility([drops, finding('UNKNOWN', 'SQL_STATE', 'who knows')]).verdict).toBe(
      'UNKNOWN',
    )
    expect(concludeCompatibility([drops, finding('BLOCKS', 'SQL_STATE', 'no')]).verdict).toBe('INCOMPATIBLE')
  })

  it('stays short for a job of thousands of operators', () => {
    const many = Array.from({ length: 5_000 }, () => finding('DROPS_STATE', 'OPERATOR_REMOVED', 'removed'))
    const { verdict, findings } = concludeCompatibility(many)
    expect([verdict, findings.length]).toEqual(['PARTLY', 21])
    expect(findings.at(-1)).toMatchObject({ code: 'MORE', message: expect.stringContaining('4980') })
  })
})

describe('the same program', () => {
  const cases: [string, Partial<JobVersionSpec>, boolean][] = [
    ['another parallelism', { parallelism: 9, maxParallelism: 64 }, true],
    ['other checkpoints', { checkpointing: { intervalMs: 1_000 } }, true],
    ['another TTL of state', { flinkConfiguration: { 'table.exec.state.ttl': '1 d' } }, true],
    ['another jar', { artifact: 'sha256:2' }, false],
    ['other arguments', { programArgs: ['--b'] }, false],
    ['another class', { entryClass: 'Other' }, false],
    ['no chaining', { flinkConfiguration: { 'pipeline.operator-chaining.enabled': 'false' } }, false],
  ]
  it.each(cases)('with %s', (_, change, same) => {
    expect(isSameProgram(SPEC, { ...SPEC, ...change })).toBe(same)
  })

  it('is never claimed of versions that name no jar', () => {
    expect(isSameProgram({}, {})).toBe(false)
  })
})

it('the max parallelism nobody sets is the one of KeyGroupRangeAssignment', () => {
  expect([1, 85, 86, 170, 171, 30_000].map(defaultMaxParallelism)).toEqual([128, 128, 256, 256, 256, 32_768])
})

/** Of a file that Flink's own serializers wrote. */
async function terminating(): Promise<NonNullable<InspectionSummary['properties']>> {
  const { properties } = await read('synthetic-v4-all-handle-types-terminate-savepoint')
  if (!properties) throw new Error('the sample has no properties')
  return properties
}
function only(summary: InspectionSummary, id: string): InspectionSummary {
  return { ...summary, operators: summary.operators.filter((operator) => operator.id.startsWith(id)) }
}
function finish({ operators }: InspectionSummary): InspectionSummary['operators'] {
  return operators.map((one) => (one.stateSize === '0' ? { ...one, fullyFinished: true } : one))
}
