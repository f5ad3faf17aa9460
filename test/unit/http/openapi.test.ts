import { readFile } from 'node:fs/promises'
import type { Static } from 'typebox'
import { expect, expectTypeOf, test } from 'vitest'
import { ERROR_CODES } from '../../../src/domain/errors.ts'
import type { Snapshot as DomainSnapshot } from '../../../src/domain/snapshot.ts'
import { buildOpenApiDocument } from '../../../src/http/openapi-document.ts'
import type { Snapshot } from '../../../src/http/schemas/snapshots.ts'

type Operation = {
  operationId?: string
  summary?: string
  tags?: string[]
  responses: Record<string, { content?: Record<string, unknown> }>
}
type Document = {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: { Problem: { properties: { code: { enum: string[] } } } } }
}
const generated = buildOpenApiDocument()
const read = async (): Promise<Document> => JSON.parse(await generated)

test('the committed document is the generated one (run scripts/openapi.ts)', async () => {
  const committed = await readFile(new URL('../../../openapi/openapi.json', import.meta.url), 'utf8')
  expect(committed === (await generated)).toBe(true)
})

test('every operation has an id of its own, a summary, a tag and problem documents for its errors', async () => {
  const { openapi, paths } = await read()
  const operations = Object.values(paths).flatMap((path) => Object.values(path))
  expect(openapi).toBe('3.1.0')
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
  for (const { operationId, summary, tags, responses } of operations) {
    expect([operationId, summary, tags?.length]).toEqual([expect.any(String), expect.any(String), 1])
    const errors = Object.entries(responses).filter(([status]) => Number(status) >= 400)
    expect(errors.length).toBeGreaterThan(0)
    for (const [status, { content = {} }] of errors) {
      const isReadiness = operationId === 'getReadiness' && status === '503'
      expect(Object.keys(content)).toEqual([isReadiness ? 'application/json' : 'application/problem+json'])
    }
  }
})

test('the document closes the list of error codes', async () => {
  const { components } = await read()
  expect(components.schemas.Problem.properties.code.enum).toEqual([...ERROR_CODES])
})

test('a snapshot is documented with exactly the members it has', () => {
  expectTypeOf<Static<typeof Snapshot>>().toEqualTypeOf<DomainSnapshot>()
})
