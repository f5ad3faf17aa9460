/**
 * What the sample job counts, simulated: a total that grows with `--rate` while its tasks run, lies in every snapshot as
 * the operator state of `total`, and is told to the control directory as `Total.java` does. A test reads there what a job
 * really began with.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Cluster, later } from './cluster.ts'
import type { SimulatedJob } from './job.ts'

const REPORT_EVERY_MS = 200

export function totalOf({ counter, program }: SimulatedJob, now: number): number {
  if (counter.runningSince === null) return counter.total
  return counter.total + Math.floor((program.rate * (now - counter.runningSince)) / 1000)
}

/** Grows from now on, or stands still. */
export function setCounting(job: SimulatedJob, counts: boolean, now: number): void {
  job.counter = { total: totalOf(job, now), runningSince: counts ? now : null }
}

/** `restored` null: it begins empty. */
export function beginCounting(job: SimulatedJob, restored: number | null): void {
  job.counter = { total: restored ?? 0, runningSince: null }
  tell(job, (directory) => {
    mkdirSync(directory, { recursive: true })
    if (restored === null) rmSync(join(directory, 'restored'), { force: true })
    else report(directory, 'restored', restored)
  })
}

/** Until the job ends or its JobManager dies. */
export function reportCounter(cluster: Cluster, job: SimulatedJob): void {
  if (job.program.controlDirectory === null) return
  later(cluster, job, REPORT_EVERY_MS, () => {
    const total = totalOf(job, cluster.clock.now())
    if (job.counter.runningSince !== null) {
      tell(job, (directory) => {
        report(directory, 'highest-key-count', Math.ceil(total / job.program.keys))
        report(directory, 'counter', total)
      })
    }
    reportCounter(cluster, job)
  })
}

/** At once, so that nothing is written any more when the job has ended. */
function tell({ program }: SimulatedJob, write: (directory: string) => void): void {
  if (program.controlDirectory === null) return
  try {
    write(program.controlDirectory)
  } catch {
    // The directory of a test that is over is gone: nobody reads it any more.
  }
}

/** By rename: whoever reads the file never sees half a number. */
function report(directory: string, name: string, value: number): void {
  const temporary = join(directory, `.${name}`)
  writeFileSync(temporary, String(value))
  renameSync(temporary, join(directory, name))
}
