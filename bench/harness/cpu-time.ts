/** CPU that processes have used, from /proc: says where the time of a figure went, whatever else the machine does. */
import { readFile } from 'node:fs/promises'
import type { Pool } from 'pg'

export type CpuClock = (operations: number) => Promise<Record<string, number>>

const MS_PER_TICK = 10

/** Answers milliseconds of CPU per operation since now, for each named process and for Postgres. */
export async function startCpuClock(pids: Record<string, number>, pool: Pool): Promise<CpuClock> {
  const before = await readAll(pids, pool)
  return async (operations) => {
    const after = await readAll(pids, pool)
    const used = Object.keys(after).map((name) => {
      const ms = (after[name] ?? 0) - (before[name] ?? 0)
      return [`${name} CPU ms`, ms / operations] as const
    })
    return Object.fromEntries(used)
  }
}

async function readAll(pids: Record<string, number>, pool: Pool): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ pid: number }>('select pid from pg_stat_activity where pid is not null')
  const times = await Promise.all(Object.values(pids).map(readCpuMs))
  const postgres = await Promise.all(rows.map(({ pid }) => readCpuMs(pid)))
  const named = Object.keys(pids).map((name, index) => [name, times[index] ?? 0] as const)
  return { ...Object.fromEntries(named), postgres: postgres.reduce((sum, ms) => sum + ms, 0) }
}

/** 0 when the process is gone, or where there is no /proc. */
async function readCpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * MS_PER_TICK
}
