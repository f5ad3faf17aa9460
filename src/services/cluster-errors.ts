/** A Flink that could not be asked, as the answer to a request that needed to ask it. */
import { DomainError, type ErrorCode, FlinkUnavailableError } from '../domain/errors.ts'

export const CLUSTER_CODES: Record<FlinkUnavailableError['kind'], ErrorCode> = {
  unreachable: 'CLUSTER_UNREACHABLE',
  'leader-election': 'CLUSTER_UNREACHABLE',
  timeout: 'CLUSTER_TOO_SLOW',
  'server-error': 'CLUSTER_REFUSED',
  unreadable: 'CLUSTER_REFUSED',
  unauthorized: 'CLUSTER_REFUSED',
}

/** What `ask` answers; throws the DomainError that says why Flink could not be asked. */
export async function askCluster<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof FlinkUnavailableError)) throw error
    throw new DomainError(CLUSTER_CODES[error.kind], error.message, { cause: error })
  }
}
