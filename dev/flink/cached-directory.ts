import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * A directory that is there complete or not at all: it is filled under another name and renamed, and a
 * marker inside says so. Two processes may fill it at once: the first rename wins, the other's copy goes.
 */
export async function cachedDirectory(dir: string, fill: (empty: string) => Promise<void>): Promise<string> {
  if (isComplete(dir)) return dir
  const filling = `${dir}.filling-${process.pid}-${randomUUID().slice(0, 8)}`
  try {
    await mkdir(filling, { recursive: true })
    await fill(filling)
    await writeFile(join(filling, MARKER), '')
    await publish(filling, dir)
  } finally {
    await rm(filling, { recursive: true, force: true })
  }
  return dir
}

export const isComplete = (dir: string): boolean => existsSync(join(dir, MARKER))

const MARKER = '.complete'

async function publish(filled: string, dir: string): Promise<void> {
  // Something without the marker is the remains of a hand that deleted half of it.
  if (!isComplete(dir)) await rm(dir, { recursive: true, force: true })
  try {
    await rename(filled, dir)
  } catch (cause) {
    if (!isComplete(dir)) throw cause
  }
}
