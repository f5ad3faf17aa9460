/** The one shape of every error answer, and how a route says which of them it can give. */
import { Type } from 'typebox'
import { ERROR_CODES, type ErrorCode } from '../../domain/errors.ts'
import { PROBLEM_KINDS, PROBLEM_MEDIA_TYPE } from '../problems.ts'
import { named, oneOf, ref } from './base.ts'

export const Problem = named(
  'Problem',
  Type.Object(
    {
      type: Type.String({ description: 'A URN that names the kind of problem, one to one with `code`.' }),
      title: Type.String({
        description: 'The kind of problem in one sentence; the same at every occurrence.',
      }),
      status: Type.Integer({ description: 'The HTTP status.' }),
      detail: Type.String({ description: 'What happened this time, for a person.' }),
      code: oneOf(ERROR_CODES, {
        description: 'What happened, for a program. The list is closed per release and only ever grows.',
      }),
      requestId: Type.String({ description: 'Our id of the request, as in `X-Request-Id` and in our log.' }),
      errors: Type.Array(
        Type.Object({
          pointer: Type.String({
            description:
              'RFC 6901 pointer into the request; its first segment is `body`, `query`, `path` or `headers`.',
          }),
          detail: Type.String({ description: 'What is wrong at that place.' }),
        }),
        { description: 'The places of the request that are wrong; empty when no single place is.' },
      ),
    },
    {
      additionalProperties: true,
      description:
        'RFC 9457 problem document. Further members depend on `code`: `SAVEPOINT_IN_PROGRESS` gives `savepoint`, the address of the running one.',
    },
  ),
)

/** What every route can answer, whatever it does. */
const EVERYWHERE: readonly ErrorCode[] = [
  'VALIDATION_FAILED',
  'TOO_MANY_REQUESTS',
  'INTERNAL',
  'OVERLOADED',
  'DATABASE_UNAVAILABLE',
]
const WITH_BODY: readonly ErrorCode[] = ['MALFORMED_BODY', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE']

const describeCodes = (codes: readonly ErrorCode[]) =>
  codes.map((code) => `\`${code}\`: ${PROBLEM_KINDS[code].title}.`).join('\n\n')

const answer = (codes: readonly ErrorCode[]) => ({
  description: describeCodes(codes),
  content: { [PROBLEM_MEDIA_TYPE]: { schema: ref(Problem) } },
})

/** Not part of the types of a route: only `sendProblem` writes these answers. */
type Answers = Readonly<Record<never, never>>

const answersFor = (codes: readonly ErrorCode[]): Answers => {
  const distinct = [...new Set(codes)]
  const statuses = new Set(distinct.map((code) => PROBLEM_KINDS[code].status))
  const ofStatus = (status: number) => distinct.filter((code) => PROBLEM_KINDS[code].status === status)
  return Object.fromEntries([...statuses].map((status) => [status, answer(ofStatus(status))]))
}

/** The error answers of a route without a body: the codes named, and those that any request may meet. */
export const problems = (...codes: readonly ErrorCode[]) =>
  answersFor(['UNAUTHENTICATED', 'FORBIDDEN', ...codes, ...EVERYWHERE])

/** The same for a route with a body. */
export const bodyProblems = (...codes: readonly ErrorCode[]) => problems(...codes, ...WITH_BODY)

/** The same for a route that asks nobody for a token. */
export const publicProblems = () => answersFor(EVERYWHERE)
