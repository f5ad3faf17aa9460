import { validate } from 'uuid'
import { findNameProblem } from '../domain/resource-name.ts'

/**
 * Which column a reference is looked up in: what is UUID-shaped is an id, for no name may look like one. null for what can
 * be neither, a NUL character for instance, which Postgres would answer with an error instead of no row.
 */
export function columnOf(reference: string): 'id' | 'name' | null {
  if (validate(reference)) return 'id'
  return findNameProblem(reference) === null ? 'name' : null
}
