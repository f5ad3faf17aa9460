/** Another tenant's ids are not found like any that never existed. */
import { DomainError, type ErrorCode } from '../domain/errors.ts'
import type { Cluster, Job, Storage } from '../domain/resources.ts'
import type {
  ClusterRepository,
  ClusterRow,
  JobRepository,
  StorageRepository,
  StorageRow,
} from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'

/** What the path names is NOT_FOUND; what the body or a filter refers to is REFERENCE_NOT_FOUND. */
type MissingCode = Extract<ErrorCode, 'NOT_FOUND' | 'REFERENCE_NOT_FOUND'>

export const findCluster = async (
  clusters: Pick<ClusterRepository, 'find'>,
  scope: Scope,
  reference: string,
  code?: MissingCode,
): Promise<ClusterRow> => (await clusters.find(scope, reference)) ?? missing('cluster', reference, code)

export const findStorage = async (
  storages: Pick<StorageRepository, 'find'>,
  scope: Scope,
  reference: string,
  code?: MissingCode,
): Promise<StorageRow> => (await storages.find(scope, reference)) ?? missing('storage', reference, code)

export const findJob = async (
  jobs: Pick<JobRepository, 'find'>,
  scope: Scope,
  reference: string,
): Promise<Job> => (await jobs.find(scope, reference)) ?? missing('job', reference)

/** How we reach a cluster or a storage stays inside. */
export const showCluster = ({ address: _inside, ...cluster }: ClusterRow): Cluster => cluster
export const showStorage = ({ address: _inside, ...storage }: StorageRow): Storage => storage

function missing(what: string, reference: string, code: MissingCode = 'NOT_FOUND'): never {
  throw new DomainError(code, `There is no ${what} ${JSON.stringify(reference.slice(0, 100))}.`)
}
