import { parseLabels } from '../domain/labels.ts'
import type { JobRepository } from '../ports/resources.ts'
import type { SnapshotFilter, SnapshotRepository } from '../ports/snapshots.ts'
import type { Services } from './api.ts'
import { findJob } from './find-resource.ts'

export const DEFAULT_PAGE_SIZE = 50

export const listSnapshots =
  (ports: { snapshots: SnapshotRepository; jobs: JobRepository }): Services['listSnapshots'] =>
  async (query) => {
    const filter: SnapshotFilter = {
      job: query.job,
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
    // The list is the hottest read: only an empty page leaves open whether there is such a job, and asks.
    if (items.length === 0) await findJob(ports.jobs, query.caller, query.job)
    return { items, nextPageToken: next }
  }
