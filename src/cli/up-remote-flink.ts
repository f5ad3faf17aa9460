/** A Flink that is running already. It is never stopped, and neither is its sample job: the next start finds it again. */
import { sayError, UpError } from './up-error.ts'
import { type FlinkStart, SAMPLE_NAME, type UpFlink } from './up-flink.ts'
import { submitSample } from './up-local-flink.ts'

type Overview = { jobs: { jid: string; name: string; state: string }[] }

export async function useRemoteFlink(url: string, { say }: FlinkStart): Promise<UpFlink> {
  const config = await ask<{ 'flink-version': string }>(url, '/config')
  const version = config['flink-version']
  const { jobs } = await ask<Overview>(url, '/jobs/overview')
  const running = jobs.find(({ name, state }) => name === SAMPLE_NAME && state === 'RUNNING')
  if (running === undefined) say(`Submitting the sample job to ${url}; it stays there.`)
  const flinkJobId = running?.jid ?? (await submit(url, version))
  return { kind: 'url', url, version, flinkJobId, pids: [], stop: async () => undefined }
}

async function submit(url: string, version: string): Promise<string> {
  try {
    return await submitSample(url, version)
  } catch (error) {
    throw new UpError(
      `No job ${SAMPLE_NAME} runs at ${url} and it could not be submitted: ${sayError(error)}`,
      {
        cause: error,
      },
    )
  }
}

async function ask<Answer>(url: string, path: string): Promise<Answer> {
  try {
    const answer = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(10_000) })
    if (!answer.ok) throw new Error(`GET ${path} answered ${answer.status}`)
    return JSON.parse(await answer.text())
  } catch (error) {
    const reason =
      error instanceof Error && error.cause instanceof Error ? sayError(error.cause) : sayError(error)
    throw new UpError(`No Flink answers at ${url}: ${reason}.`, { cause: error })
  }
}
