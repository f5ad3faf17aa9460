/** A Flink that is running already. It is never stopped, and neither is its sample job: the next start finds it again. */
import { sayError, UpError } from './up-error.ts'
import type { UpFlink } from './up-flink.ts'
import { sampleFor } from './up-local-flink.ts'

export async function useRemoteFlink(url: string): Promise<UpFlink> {
  const { 'flink-version': version } = await ask<{ 'flink-version': string }>(url, '/config')
  return {
    kind: 'url',
    url,
    version,
    sample: await sampleOf(url, version),
    fresh: false,
    pids: [],
    stop: async () => undefined,
  }
}

async function sampleOf(url: string, version: string): Promise<UpFlink['sample']> {
  try {
    return await sampleFor(version)
  } catch (error) {
    throw new UpError(`There is no sample job for the Flink ${version} at ${url}: ${sayError(error)}`, {
      cause: error,
    })
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
