import type { MetricsRepository } from '../ports/metrics.ts'
import type { Services } from './api.ts'

export const readJobMetrics =
  (ports: { metrics: MetricsRepository }): Services['readJobMetrics'] =>
  ({ caller }) =>
    ports.metrics.readJobs(caller)
