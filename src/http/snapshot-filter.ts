/** The filters of a snapshot list as services want them: instants in UTC. */
import { normalizeInstant } from './schemas/formats.ts'

type CreatedBetween = { createdAfter?: string; createdBefore?: string }

export const withUtcBounds = <Query extends CreatedBetween>(query: Query): Query => ({
  ...query,
  ...(query.createdAfter === undefined ? {} : { createdAfter: normalizeInstant(query.createdAfter) }),
  ...(query.createdBefore === undefined ? {} : { createdBefore: normalizeInstant(query.createdBefore) }),
})
