/** What `tidemark up` tells a person: where everything is and what to type next. */
import type { UpFile } from './up-data-dir.ts'
import { JOB } from './up-register.ts'
import type { FirstSavepoint } from './up-savepoint.ts'

const FLINK_KINDS: Record<UpFile['flinkKind'], string> = {
  local: 'a real Flink, started on this machine',
  simulated: 'SIMULATED: built in, no real Flink',
  url: 'a Flink that was running already',
}

const NO_FLINK_HINT =
  '              For a real one install a JDK (11 or newer) and Maven, or set FLINK_HOME, and start again.'

export function describeInstallation(up: UpFile, dataDir: string): string {
  const lines = [
    '',
    `  API         ${up.apiUrl}   (worker in the same process)`,
    `  Key         ${up.token}`,
    `  Flink       ${up.flinkVersion} at ${up.flinkUrl} (${FLINK_KINDS[up.flinkKind]})`,
    ...(up.flinkKind === 'simulated' ? [NO_FLINK_HINT] : []),
    `  Storage     ${up.storageRoot}`,
    `  Data        ${dataDir}   (up.json there tells scripts all of this)`,
  ]
  return lines.join('\n')
}

export const describeSavepoint = ({
  id,
  status,
  location,
  sizeBytes,
  durationMs,
  jobVersion,
}: FirstSavepoint): string => `
Savepoint of ${JOB} version ${jobVersion ?? '?'}: ${status}
  id          ${id}
  location    ${location ?? 'unknown'}
  size        ${sizeBytes === null ? 'unknown' : formatBytes(sizeBytes)}
  duration    ${durationMs === null ? 'unknown' : formatDuration(durationMs)}`

export const describeNextCommands = ({ apiUrl, token }: UpFile): string => `
Take another one:
  curl -sS -X POST ${apiUrl}/v1/jobs/${JOB}/savepoints \\
    -H 'Authorization: Bearer ${token}' -H 'Prefer: wait=55' \\
    -H 'Content-Type: application/json' -d '{"description": "by hand"}'
List them:
  curl -sS '${apiUrl}/v1/jobs/${JOB}/snapshots?pageSize=5' -H 'Authorization: Bearer ${token}'
Stop the job with a savepoint, and start it again from its latest state:
  curl -sS -X POST ${apiUrl}/v1/jobs/${JOB}/stop \\
    -H 'Authorization: Bearer ${token}' -H 'Prefer: wait=55'
  curl -sS -X POST ${apiUrl}/v1/jobs/${JOB}/start \\
    -H 'Authorization: Bearer ${token}' -H 'Prefer: wait=55'
Upgrade it: register a version (see what is in the one that runs), stop, and start that one from the latest state:
  curl -sS ${apiUrl}/v1/jobs/${JOB}/versions -H 'Authorization: Bearer ${token}'
Where it would be restored from now, and why:
  curl -sS ${apiUrl}/v1/jobs/${JOB}/restore-point -H 'Authorization: Bearer ${token}'
API reference (send the same Authorization header):
  ${apiUrl}/docs`

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']

export function formatBytes(bytes: number): string {
  const power = Math.min(UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 ? value : value.toFixed(1)} ${UNITS[power]}`
}

export const formatDuration = (ms: number): string =>
  ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
