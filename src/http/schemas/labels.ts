import { Type } from 'typebox'
import type { Labels as DomainLabels } from '../../domain/snapshot.ts'
import { PATTERNS } from './formats.ts'

/** Labels as a caller sends them. */
export const LabelsInput = Type.Unsafe<DomainLabels>({
  type: 'object',
  maxProperties: 32,
  propertyNames: { pattern: PATTERNS.labelKey, maxLength: 63 },
  additionalProperties: { type: 'string', maxLength: 255, pattern: PATTERNS.singleLine },
  description: 'At most 32 labels; keys of 1 to 63 characters, values of at most 255 characters on one line.',
})

/** Labels as we answer them. */
export const Labels = Type.Unsafe<DomainLabels>({
  type: 'object',
  additionalProperties: { type: 'string' },
  description: 'Labels, for selection and for whatever the user wants to remember (e.g. a git sha).',
})

export const Reference = Type.Object({ id: Type.String(), name: Type.String() })

export const DescriptionInput = Type.String({
  maxLength: 1024,
  description: 'At most 1024 characters; generated when not given.',
})
