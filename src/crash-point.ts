/**
 * Named places where a test ends the process as `kill -9` would. Compiled in and off by default: `TIDEMARK_CRASH_AT` names
 * one, `name:3` means its third passage.
 */
import type { CrashPoint } from './ports/process.ts'

export function createCrashPoint(setting: string | null): CrashPoint {
  if (setting === null) return () => undefined
  const [name, count] = setting.split(':')
  let passages = 0
  return (passed) => {
    if (passed !== name) return
    passages += 1
    if (passages >= Number(count ?? 1)) process.kill(process.pid, 'SIGKILL')
  }
}
