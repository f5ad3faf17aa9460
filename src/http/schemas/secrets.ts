import { Type } from 'typebox'
import type { SecretReference as DomainSecretReference } from '../../domain/resources.ts'
import { named } from './base.ts'
import { PATTERNS } from './formats.ts'

const VARIABLE = { type: 'string', maxLength: 255, pattern: PATTERNS.environmentVariable }
const FILE = { type: 'string', minLength: 1, maxLength: 255, pattern: PATTERNS.singleLine }
const only = (name: string, schema: Record<string, unknown>) => ({
  type: 'object',
  properties: { [name]: schema },
  required: [name],
  additionalProperties: false,
})

export const SecretReference = named(
  'SecretReference',
  Type.Unsafe<DomainSecretReference>({
    oneOf: [only('env', VARIABLE), only('file', FILE)],
    description:
      'Where the installation keeps the secret: an environment variable `TIDEMARK_SECRET_<NAMESPACE>_…`, or a file in the secrets directory of the namespace.',
  }),
)
