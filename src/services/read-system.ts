import type { Services } from './api.ts'
import type { ReadinessPorts } from './check-readiness.ts'

export type SystemPorts = ReadinessPorts & {
  system: {
    version: string
    startedAt: Date
    queue: 'redis' | 'postgres'
    node: string
    latestMigration: string
  }
}

export const readSystem =
  ({ system, health }: SystemPorts): Services['readSystem'] =>
  async () => ({
    name: 'tidemark',
    version: system.version,
    startedAt: system.startedAt.toISOString(),
    queue: system.queue,
    node: system.node,
    database: { serverVersion: await health.databaseVersion(), migration: system.latestMigration },
  })
