/** What still refers to a cluster, a storage or a job, as the sentence that tells a person why it cannot be deleted. */
export type User = {
  kind: 'job' | 'snapshot' | 'savepoint' | 'run' | 'operation'
  id: string
  job: string
  status: string | null
}

const SENTENCES: Record<User['kind'], (user: User) => string> = {
  job: ({ id, job }) => `job ${job} (${id}) uses it`,
  snapshot: ({ id, job, status }) => `snapshot ${id} of job ${job} is ${status}, not Cleared`,
  savepoint: ({ id, job, status }) => `savepoint ${id} of job ${job} is ${status} and not settled yet`,
  run: ({ id, job, status }) => `run ${id} of job ${job} is ${status}`,
  operation: ({ id, job, status }) => `operation ${id} (${status}) of job ${job} is still open`,
}

export const describeUser = (user: User): string => SENTENCES[user.kind](user)
