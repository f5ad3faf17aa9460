/** The worker's own small HTTP side: liveness for the container, metrics for Prometheus. It shows no tenant's names. */
import Fastify from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { MetricsRepository, SavepointMeter } from './ports/metrics.ts'

export type WorkerHttp = {
  meter: SavepointMeter
  listen(host: string, port: number): Promise<void>
  close(): Promise<void>
}

const DURATION_BUCKETS_S = [0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600]

export function createWorkerHttp(metrics: MetricsRepository): WorkerHttp {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const total = new Counter({
    name: 'tidemark_savepoints_total',
    help: 'Status moves of savepoints made by this process.',
    labelNames: ['outcome', 'reason'],
    registers,
  })
  const duration = new Histogram({
    name: 'tidemark_savepoint_duration_seconds',
    help: 'How long completed savepoints took in Flink.',
    buckets: DURATION_BUCKETS_S,
    registers,
  })
  const clearing = new Gauge({
    name: 'tidemark_clearing_oldest_seconds',
    help: 'Age of the oldest clearing under way.',
    registers,
  })
  const lag = new Gauge({
    name: 'tidemark_sweep_lag_seconds',
    help: 'How long the oldest due row has waited.',
    registers,
  })
  const snapshots = new Gauge({
    name: 'tidemark_snapshots',
    help: 'Snapshots by status; exact for Creating and Clearing, estimated for the others.',
    labelNames: ['status'],
    registers,
  })
  const app = Fastify({ logger: false })
  app.get('/livez', async () => ({ alive: true }))
  app.get('/metrics', async (_request, reply) => {
    const gauges = await metrics.readInstallation()
    clearing.set(gauges.clearingOldestSeconds)
    lag.set(gauges.sweepLagSeconds)
    for (const [status, count] of Object.entries(gauges.snapshots)) snapshots.set({ status }, count)
    return reply.type(registry.contentType).send(await registry.metrics())
  })
  return {
    meter: {
      settled: ({ outcome, reason, durationMs }) => {
        total.inc({ outcome, reason })
        if (outcome === 'Present' && durationMs !== null) duration.observe(durationMs / 1000)
      },
    },
    listen: async (host, port) => void (await app.listen({ host, port })),
    close: () => app.close(),
  }
}
