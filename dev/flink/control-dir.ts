import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Our side of the control directory; `ControlDirectory.java` of the sample job is the other. One directory per job. */
export async function slowSnapshots(controlDir: string, ms: number): Promise<void> {
  await leave(controlDir, 'slow-ms', String(ms))
}

/** Each event takes that long, so that more and more wait between the operators, until `obeyNothing`. */
export async function slowEvents(controlDir: string, ms: number): Promise<void> {
  await leave(controlDir, 'slow-events-ms', String(ms))
}

/** Snapshots throw this text, and with it the job restarts, until `obeyNothing`. */
export async function failSnapshots(controlDir: string, text: string): Promise<void> {
  await leave(controlDir, 'fail', text)
}

/** Snapshots succeed again; one that is being slow goes on at once, and events after 0.2 s. */
export async function obeyNothing(controlDir: string): Promise<void> {
  for (const file of ['fail', 'slow-ms', 'slow-events-ms']) await rm(join(controlDir, file), { force: true })
}

/** What the job told last, at most 0.2 s old while it runs; what has not been told yet is null. */
export interface Counters {
  /** Events, out of operator state. */
  readonly total: number | null
  /** Of the keys seen since the last start, out of keyed state. */
  readonly highestKeyCount: number | null
  /** The total its last start began with; null when that began empty. */
  readonly restored: number | null
}

export async function readCounters(controlDir: string): Promise<Counters> {
  const [total, highestKeyCount, restored] = await Promise.all(
    ['counter', 'highest-key-count', 'restored'].map((file) => readNumber(join(controlDir, file))),
  )
  return { total: total ?? null, highestKeyCount: highestKeyCount ?? null, restored: restored ?? null }
}

/** A count the SQL job has told: of a key it had no row of (`+I`, at its begin or once its state had expired), or a next one. */
export interface CountChange {
  readonly isNew: boolean
  readonly key: number
  readonly count: number
}

/** All the SQL job has told since its first start, in order; none before it tells. A line still being written is left out. */
export async function readChanges(controlDir: string): Promise<CountChange[]> {
  const text = await readIfThere(join(controlDir, 'changes'))
  const lines = (text ?? '').split('\n').slice(0, -1)
  return lines.map((line) => {
    const [kind, key, count] = line.split(' ')
    return { isNew: kind === '+I', key: Number(key), count: Number(count) }
  })
}

async function readNumber(file: string): Promise<number | null> {
  const text = await readIfThere(file)
  return text === null ? null : Number(text)
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** By rename, so that the job never reads half a file. */
async function leave(controlDir: string, file: string, text: string): Promise<void> {
  await mkdir(controlDir, { recursive: true })
  await writeFile(join(controlDir, `.${file}`), text)
  await rename(join(controlDir, `.${file}`), join(controlDir, file))
}
