/** The first savepoint of `tidemark up`, asked for and waited for over HTTP as a pipeline would. */
import type { UpApi } from './up-api.ts'
import { UpError } from './up-error.ts'
import { JOB } from './up-register.ts'

export type FirstSavepoint = {
  id: string
  status: string
  location: string | null
  sizeBytes: number | null
  durationMs: number | null
  jobVersion: number | null
  failure: { code: string; message: string } | null
}

const TIMEOUT_SECONDS = 120
const WAIT = { prefer: 'wait=55' }

export async function takeFirstSavepoint(api: UpApi): Promise<FirstSavepoint> {
  // What a killed run left unsettled is waited for; it answers for itself, so ask once more after it.
  for (let round = 1; ; round++) {
    const { savepoint, joined } = await takeSavepoint(api)
    if (savepoint.status === 'Present' && !joined) return savepoint
    if (joined && round < 4) continue
    const { code, message } = savepoint.failure ?? { code: savepoint.status, message: 'no reason was given' }
    throw new UpError(`The savepoint of the sample job is ${savepoint.status} (${code}): ${message}`)
  }
}

async function takeSavepoint(api: UpApi): Promise<{ savepoint: FirstSavepoint; joined: boolean }> {
  const body = {
    description: 'First savepoint of this start',
    timeoutSeconds: TIMEOUT_SECONDS,
    ifRunning: 'JOIN',
  }
  const asked = await api.call<FirstSavepoint>('POST', `/v1/jobs/${JOB}/savepoints`, body, WAIT)
  const joined = asked.headers.has('tidemark-joined')
  let savepoint = asked.body
  while (savepoint.status === 'Creating') {
    savepoint = (await api.call<FirstSavepoint>('GET', `/v1/snapshots/${savepoint.id}`, undefined, WAIT)).body
  }
  return { savepoint, joined }
}
