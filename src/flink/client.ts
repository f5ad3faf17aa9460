/** Flink's REST API as the outcomes of `domain/flink.ts`: what is read. What changes a job: `trigger-calls.ts`, `jar-calls.ts`. */
import { hash } from 'node:crypto'
import type { FlinkClient } from '../ports/flink.ts'
import { type Ask, find, get, jobPath, readFound } from './asking.ts'
import { readCheckpointStatistics, readConfig } from './checkpoint-responses.ts'
import type { HttpRequest } from './http.ts'
import { createJarCalls } from './jar-calls.ts'
import {
  readClusterInfo,
  readClusterSettings,
  readDeclaredVersion,
  readExceptions,
  readJob,
  readJobs,
} from './responses.ts'
import { createTriggerCalls } from './trigger-calls.ts'

export function createFlinkClient(ask: Ask): FlinkClient {
  return {
    describeCluster: () => get(ask, '/config', readClusterInfo),
    readSettings: () => get(ask, '/jobmanager/config', readClusterSettings),
    listJobs: () => get(ask, '/jobs/overview', readJobs),
    findJob: (job) => find(ask, jobPath(job), readJob),
    listExceptions: async (job) => (await find(ask, jobPath(job, '/exceptions'), readExceptions)) ?? [],
    readDeclaredVersion: async (job) =>
      (await find(ask, jobPath(job, '/config'), readDeclaredVersion))?.version ?? null,
    readCheckpoints: (job) => find(ask, jobPath(job, '/checkpoints'), readCheckpointStatistics),
    async pollCheckpoints(job, tag) {
      const request: HttpRequest = { method: 'GET', path: jobPath(job, '/checkpoints') }
      const reply = await ask(request)
      const ownTag = reply.status === 200 ? tagOf(reply.text) : ''
      if (ownTag !== '' && ownTag === tag) return { kind: 'unchanged' }
      const statistics = readFound(request, reply, readCheckpointStatistics)
      return statistics === null ? { kind: 'none' } : { kind: 'changed', tag: ownTag, statistics }
    },
    readCheckpointConfig: (job) => find(ask, jobPath(job, '/checkpoints/config'), readConfig),
    ...createTriggerCalls(ask),
    ...createJarCalls(ask),
  }
}

/** Reading an answer of ten entries costs many times its hash. */
const tagOf = (text: string): string => hash('sha1', text, 'base64')
