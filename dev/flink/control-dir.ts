import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Our side of the sample job's control directory; `ControlDirectory.java` is the other. One directory per job. */
export async function slowSnapshots(controlDir: string, ms: number): Promise<void> {
  await leave(controlDir, 'slow-ms', String(ms))
}

/** Snapshots throw this text, and with it the job restarts, until `obeyNothing`. */
export async function failSnapshots(controlDir: string, text: string): Promise<void> {
  await leave(controlDir, 'fail', text)
}

/** Snapshots succeed again; one that is being slow goes on at once. */
export async function obeyNothing(controlDir: string): Promise<void> {
  for (const file of ['fail', 'slow-ms']) await rm(join(controlDir, file), { force: true })
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

async function readNumber(file: string): Promise<number | null> {
  try {
    return Number(await readFile(file, 'utf8'))
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
