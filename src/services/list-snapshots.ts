import { DomainError } from '../domain/errors.ts'
import { parseLabels } from '../domain/labels.ts'
import type { JobRepository, SnapshotFilter, SnapshotRepository } from '../ports.ts'
import type { Services } from './api.ts'

export const DEFAULT_PAGE_SIZE = 50

export const listSnapshots =
  (ports: { snapshots: SnapshotRepository; jobs: JobRepository }): Services['listSnapshots'] =>
  async (query) => {
    const job = await ports.jobs.find(query.caller, query.job)
    if (!job) throw new DomainError('NOT_FOUND', `There is no job ${query.job}.`)
    const filter: SnapshotFilter = {
      jobId: job.id,
      orderBy: query.orderBy ?? 'createdAt',
      order: query.order ?? 'desc',
      ...(query.kind && { kind: query.kind }),
      ...(query.status && { status: query.status }),
      ...(query.source && { source: query.source }),
      ...(query.version !== undefined && { version: query.version }),
      ...(query.label && { labels: parseLabels(query.label) }),
      ...(query.createdAfter && { createdAfter: query.createdAfter }),
      ...(query.createdBefore && { createdBefore: query.createdBefore }),
    }
    const page = { pageSize: query.pageSize ?? DEFAULT_PAGE_SIZE, after: query.pageToken ?? null }
    const { items, next } = await ports.snapshots.list(query.caller, filter, page)
    return { items, nextPageToken: next }
  }
