import { describe, expect, test } from 'vitest'
import { parseLocation } from '../../src/domain/location.ts'
import {
  type CheckpointDirectoryFacts,
  chooseDoomed,
  decideRetained,
  findNamedIn,
  listShareable,
  placeOf,
} from '../../src/domain/retained-checkpoint.ts'
import { HOSTILE_LOCATIONS } from '../support/hostile-locations.ts'

const ID = '0123456789abcdef0123456789abcdef'
const ROOT = 's3://state/flink'
const DIRECTORY = `${ROOT}/checkpoints/${ID}`
const LOCATION = `${DIRECTORY}/chk-7`
const storage = { name: 'state', uri: ROOT, provider: 'aws', clearCheckpoints: true }
const facts = (changes: Partial<CheckpointDirectoryFacts> = {}): CheckpointDirectoryFacts => ({
  flinkJobId: ID,
  live: [],
  withoutSubdirectory: false,
  ...changes,
})

describe('a retained checkpoint', () => {
  test('goes from its own directory when nobody uses that of its job id', () => {
    expect(decideRetained(LOCATION, storage, facts())).toEqual({
      place: { jobDirectory: parseLocation(DIRECTORY), own: parseLocation(LOCATION) },
    })
    expect(decideRetained(`${LOCATION}/_metadata`, storage, facts())).toHaveProperty('place')
  })

  test.each([
    [
      'the storage does not allow it',
      { storage: { ...storage, clearCheckpoints: false } },
      'CLEARING_NOT_ENABLED',
    ],
    ['only Flink reaches it', { storage: { ...storage, provider: 'flink-only' } }, 'FILES_OUTSIDE_PREFIX'],
    ['it lies in no storage', { storage: null }, 'FILES_OUTSIDE_PREFIX'],
    ['its run is not known', { facts: null }, 'FILES_OUTSIDE_PREFIX'],
    [
      'a version has no subdirectory',
      { facts: facts({ withoutSubdirectory: true }) },
      'FILES_OUTSIDE_PREFIX',
    ],
    [
      'a run lives',
      { facts: facts({ live: [{ run: 'r', job: 'orders', state: 'RUNNING' as const }] }) },
      'SNAPSHOT_IN_USE',
    ],
    [
      'a run is lost',
      { facts: facts({ live: [{ run: 'r', job: 'orders', state: 'LOST' as const }] }) },
      'SNAPSHOT_IN_USE',
    ],
    ['it lies right below the root', { location: `${ROOT}/chk-7` }, 'FILES_OUTSIDE_PREFIX'],
    [
      'its directory is of another job',
      { location: `${ROOT}/${'f'.repeat(32)}/chk-7` },
      'FILES_OUTSIDE_PREFIX',
    ],
    ['it is no checkpoint', { location: `${DIRECTORY}/shared` }, 'FILES_OUTSIDE_PREFIX'],
    ['it lies outside the root', { location: `s3://state/flink2/${ID}/chk-7` }, 'FILES_OUTSIDE_PREFIX'],
    ['the job directory is the root', { storage: { ...storage, uri: DIRECTORY } }, 'FILES_OUTSIDE_PREFIX'],
  ])('is refused when %s', (_, given, code) => {
    const { location, storage: at, facts: known } = { location: LOCATION, storage, facts: facts(), ...given }
    expect(decideRetained(location, at, known)).toMatchObject({ code })
  })

  test.each(HOSTILE_LOCATIONS)('is refused at %j', (location) => {
    const decided = decideRetained(location, storage, facts())
    expect('code' in decided && decided.code).toBe('FILES_OUTSIDE_PREFIX')
  })
})

describe('of its files', () => {
  const place = placeOf(LOCATION, ROOT, ID)
  const names = (count: number, random: () => number): string[] =>
    Array.from({ length: count }, () => {
      const file = Math.floor(random() * 40)
      const folders = [
        `${DIRECTORY}/shared`,
        `${DIRECTORY}/taskowned`,
        `${DIRECTORY}/chk-${Math.floor(random() * 9)}`,
        `${DIRECTORY}2/shared`,
        `${ROOT}/checkpoints/${'f'.repeat(32)}/shared`,
        `${DIRECTORY}/sharedx`,
        's3://other/shared',
      ]
      return `${folders[Math.floor(random() * folders.length)]}/f-${file}`
    })

  test('none goes that a kept metadata or a row names, none outside the directory, and the others do', () => {
    if (place === null) throw new Error('no place')
    let state = 20261121
    const random = () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
      return state / 0x7fffffff
    }
    for (let round = 0; round < 200; round++) {
      const own = names(20, random)
      const kept = Array.from({ length: Math.floor(random() * 4) }, () => names(10, random))
      const needed = names(5, random)
      const doomed = chooseDoomed(listShareable(place, own), kept, needed)
      for (const key of doomed) {
        expect(kept.flat()).not.toContain(key)
        expect(needed).not.toContain(key)
        expect(own).toContain(key)
        expect(key.startsWith(`${DIRECTORY}/shared/`) || key.startsWith(`${DIRECTORY}/taskowned/`)).toBe(true)
      }
      const expected = own.filter(
        (key) =>
          /\/(shared|taskowned)\//.test(key) &&
          key.startsWith(`${DIRECTORY}/`) &&
          !kept.flat().includes(key) &&
          !needed.includes(key),
      )
      expect(new Set(doomed)).toEqual(new Set(expected))
    }
  })

  test('none goes when a kept metadata cannot be read, and a place that is none is nobody', () => {
    if (place === null) throw new Error('no place')
    const shareable = listShareable(place, [`${DIRECTORY}/shared/a`, null, `${DIRECTORY}/shared/a`])
    expect(shareable).toEqual([`${DIRECTORY}/shared/a`])
    expect(chooseDoomed(shareable, [[], null], [])).toEqual([])
    expect(chooseDoomed(shareable, [[null]], [])).toEqual(shareable)
  })

  test('those in its own directory are found among what others name, and those beside it are not', () => {
    const own = parseLocation(LOCATION)
    const beside = [null, `${LOCATION}0/f`, LOCATION, `${DIRECTORY}/shared/f`]
    expect(findNamedIn(own, beside)).toBeNull()
    expect(findNamedIn(own, [...beside, `${LOCATION}/f`])).toBe(`${LOCATION}/f`)
    expect(findNamedIn(parseLocation(LOCATION.replace('s3:', 's3a:')), [`${LOCATION}/f`])).toBe(
      `${LOCATION}/f`,
    )
  })
})
