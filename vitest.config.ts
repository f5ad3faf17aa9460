import { defineConfig } from 'vitest/config'
import LongestFirst from './test/support/longest-first.ts'

const SERVICES = ['test/support/provision-services.ts']
const PROCESSES = [...SERVICES, 'test/support/build-dist.ts']
const GATEWAY = 'test/support/build-gateway.ts'

// Real services on two shared cores: in CI a test may need a second try, which the report shows. Fault runs get none.
const CI_RETRY = process.env['CI'] === 'true' ? 1 : 0

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      // Rules and services with fakes: one process, no isolation, about a second.
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false, testTimeout: 20_000 } },
      {
        test: {
          name: 'integration',
          retry: CI_RETRY,
          include: ['test/integration/**/*.test.ts'],
          globalSetup: [...SERVICES, GATEWAY],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          maxWorkers: 2, // who cannot have neighbours on its server has one of its own (test/support/database.ts)
        },
      },
      {
        test: {
          name: 'e2e',
          retry: CI_RETRY,
          include: ['test/e2e/**/*.test.ts'],
          exclude: ['test/e2e/**/*.real.test.ts'],
          globalSetup: PROCESSES,
          testTimeout: 120_000,
          hookTimeout: 180_000,
          maxWorkers: 3,
        },
      },
      {
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          globalSetup: PROCESSES,
          testTimeout: 600_000,
          hookTimeout: 180_000,
          maxWorkers: 2,
        },
      },
      {
        // Three files at a time, a few JVMs each: they mostly wait for one another's heartbeats and for checkpoints.
        test: {
          name: 'real-flink',
          retry: CI_RETRY,
          include: ['test/e2e/**/*.real.test.ts'],
          globalSetup: [...PROCESSES, GATEWAY],
          testTimeout: 300_000,
          hookTimeout: 600_000,
          maxWorkers: 3,
        },
      },
    ],
  },
})
