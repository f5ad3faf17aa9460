import { Gauge, Registry } from 'prom-client'
import type { Caller, JobMetric } from '../../../services/api.ts'
import type { App } from '../../fastify-app.ts'

const JOB_LABELS = ['namespace', 'job'] as const

/**
 * Not part of the API document: its format is Prometheus', its names are in the operators' guide. The HTTP figures are the
 * process's, the job figures those of the caller's namespace. With the database away the HTTP figures are still shown.
 */
export const getMetrics = (app: App, metrics: Registry) =>
  app.get(
    '/metrics',
    { config: { pressureHandler: () => undefined }, schema: { hide: true } },
    async ({ caller, log }, reply) => {
      const jobs = await app.services.readJobMetrics({ caller }).catch((error: unknown) => {
        log.warn({ err: error }, 'job metrics could not be read')
        return null
      })
      const text = `${await metrics.metrics()}\n${await renderJobs(caller, jobs)}`
      return reply.type(metrics.contentType).send(text)
    },
  )

function renderJobs(caller: Caller, jobs: JobMetric[] | null): Promise<string> {
  const registry = new Registry()
  const registers = [registry]
  new Gauge({
    name: 'tidemark_job_metrics_up',
    help: 'Whether the job figures could be read.',
    registers,
  }).set(jobs ? 1 : 0)
  const restorePoint = new Gauge({
    name: 'tidemark_job_restore_point_age_seconds',
    help: 'Age of the newest snapshot the job could be restored from; of its run when there is none.',
    labelNames: JOB_LABELS,
    registers,
  })
  const observation = new Gauge({
    name: 'tidemark_job_observation_age_seconds',
    help: 'How long ago Flink was last asked about the job.',
    labelNames: JOB_LABELS,
    registers,
  })
  for (const { job, restorePointAgeSeconds, observationAgeSeconds } of jobs ?? []) {
    const labels = { namespace: caller.namespace, job }
    if (restorePointAgeSeconds !== null) restorePoint.set(labels, restorePointAgeSeconds)
    if (observationAgeSeconds !== null) observation.set(labels, observationAgeSeconds)
  }
  return registry.metrics()
}
