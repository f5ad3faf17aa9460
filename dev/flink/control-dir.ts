import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
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

/** By rename, so that the job never reads half a file. */
async function leave(controlDir: string, file: string, text: string): Promise<void> {
  await mkdir(controlDir, { recursive: true })
  await writeFile(join(controlDir, `.${file}`), text)
  await rename(join(controlDir, `.${file}`), join(controlDir, file))
}
