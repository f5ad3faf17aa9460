/** How the OpenAPI document is made from the routes. Its order follows from the names, so that a diff reads well. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import type { RouteOptions } from 'fastify'
import { PROBLEM_MEDIA_TYPE } from './problems.ts'

/** The version of the API, not of the release: raised when the document changes in meaning. */
const API_VERSION = '1.0.0'

const DESCRIPTION = `Tidemark takes, watches, keeps and verifies the savepoints and checkpoints of Apache Flink jobs.

- Instants are RFC 3339 in UTC with milliseconds; durations and sizes carry their unit in the name (\`durationMs\`, \`timeoutSeconds\`, \`sizeBytes\`). Numbers stay within ±(2^53 − 1).
- Errors are RFC 9457 \`application/problem+json\` with a stable \`code\`.
- Unknown properties and unknown query parameters are refused with 400. JSON bodies have at most 1 MiB and nest at most 32 deep.
- Lists answer \`items\` and \`nextPageToken\`, without totals.
- Clients must tolerate new values of every enumeration and new members of every answer.
- Every answer carries \`X-Request-Id\`.`

const HEADER_NAMES: Readonly<Record<string, string>> = {
  'idempotency-key': 'Idempotency-Key',
  prefer: 'Prefer',
  'if-match': 'If-Match',
  'if-none-match': 'If-None-Match',
}

/** What the document says of a route beyond what Fastify needs to serve it. */
type Documented = { response: unknown; optionalBody: boolean }
export type RouteDocuments = Map<string, Documented>

const isProblem = (answer: unknown): boolean =>
  typeof answer === 'object' &&
  answer !== null &&
  'content' in answer &&
  typeof answer.content === 'object' &&
  answer.content !== null &&
  PROBLEM_MEDIA_TYPE in answer.content

/**
 * Keeps the problem answers of a route for the document and takes them from Fastify: `sendProblem` writes them, and a
 * serializer compiled for each of them would be two thirds of the time the app takes to start.
 */
export const keepForDocument = (route: RouteOptions, documents: RouteDocuments): void => {
  const { schema, config } = route
  if (schema?.operationId === undefined) return
  const response = schema.response ?? {}
  if (!documents.has(schema.operationId)) {
    documents.set(schema.operationId, { response, optionalBody: config?.optionalBody === true })
  }
  const served = Object.entries(response).filter(([, answer]) => !isProblem(answer))
  route.schema = { ...schema, response: Object.fromEntries(served) }
}

/** Of an operation only what we touch, whichever version of OpenAPI types it. */
type Operation = { operationId?: string; requestBody?: object; parameters?: { in?: string; name?: string }[] }

const isOperation = (value: unknown): value is Operation =>
  typeof value === 'object' && value !== null && 'operationId' in value

/** Headers in their usual spelling, and bodies that may be absent. */
const polish = (operation: Operation, documents: RouteDocuments): void => {
  for (const parameter of operation.parameters ?? []) {
    if (parameter.in === 'header') parameter.name = HEADER_NAMES[parameter.name ?? ''] ?? parameter.name ?? ''
  }
  const optionalBody = documents.get(operation.operationId ?? '')?.optionalBody === true
  if (operation.requestBody !== undefined && optionalBody) {
    Object.assign(operation.requestBody, { required: false })
  }
}

const sortKeys = (record: object): void => {
  for (const [key, value] of Object.entries(record).toSorted(([one], [other]) => (one < other ? -1 : 1))) {
    Reflect.deleteProperty(record, key)
    Reflect.set(record, key, value)
  }
}

/** `documents` is filled while routes are added. */
export const documentOptions = (documents: RouteDocuments): FastifyDynamicSwaggerOptions => ({
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Tidemark',
      version: API_VERSION,
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The server that gave this document.' }],
    tags: [
      { name: 'clusters', description: 'Flink JobManager REST addresses.' },
      { name: 'storages', description: 'Where snapshots lie.' },
      { name: 'jobs', description: 'What the user calls a job.' },
      { name: 'versions', description: 'Immutable configurations of a job.' },
      { name: 'artifacts', description: 'Jars that versions name.' },
      { name: 'runs', description: 'The lives of a job on a cluster.' },
      { name: 'savepoints', description: 'Snapshots the user owns: triggering them.' },
      { name: 'snapshots', description: 'Savepoints and checkpoints: reading and describing them.' },
      { name: 'rules', description: 'What happens to the savepoints of a job on its own.' },
      { name: 'system', description: 'The installation and its probes.' },
    ],
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'The token of a namespace.' },
      },
    },
    security: [{ bearer: [] }],
  },
  refResolver: { buildLocalReference: (json) => String(json['$id']) },
  transform: ({ schema, url }) => ({
    schema: { ...schema, response: documents.get(schema?.operationId ?? '')?.response ?? schema?.response },
    url,
  }),
  transformObject: (given) => {
    if (!('openapiObject' in given)) return given.swaggerObject
    const { paths = {}, components } = given.openapiObject
    for (const operation of Object.values(paths).flatMap((path) => Object.values(path ?? {}))) {
      if (isOperation(operation)) polish(operation, documents)
    }
    sortKeys(paths)
    sortKeys(components?.schemas ?? {})
    return given.openapiObject
  },
})
