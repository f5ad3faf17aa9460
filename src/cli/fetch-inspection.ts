/** The inspection of a snapshot by its id, through the API like any other client. */
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { InspectionSummary } from '../domain/inspection.ts'
import type { InspectionView } from '../services/api.ts'

export type Failure = { code: string; message: string }
export type Inspected =
  /** `json`: the whole line. `target`: as it was given. */
  | { target: string; json: object; summary: InspectionSummary; fileCount: number }
  | { target: string; json: object; error: Failure; notAsked: boolean }

export type ApiAccess = { url: string; token: string }

/** The first call of an id reads `_metadata` from the store. */
const TIMEOUT_MS = 60_000

const Problem = Type.Object({ code: Type.String(), detail: Type.String() })
/** What is shown of it; the rest is handed on as it came. */
const Shown = Type.Object({
  version: Type.Integer(),
  checkpointId: Type.String(),
  stateSize: Type.String(),
  fileCount: Type.Integer(),
  flinkVersions: Type.Object({ from: Type.String(), to: Type.Union([Type.String(), Type.Null()]) }),
  operators: Type.Array(Type.Object({ id: Type.String() })),
  warnings: Type.Array(Type.Object({ message: Type.String() })),
})
const isInspection = (body: unknown): body is InspectionView => Value.Check(Shown, body)

/** Never throws: what the API could not be asked says `notAsked`, what it refused says its code. */
export async function fetchInspection(id: string, { url, token }: ApiAccess): Promise<Inspected> {
  const failed = (code: string, message: string, notAsked: boolean): Inspected => ({
    target: id,
    json: { snapshot: id, error: { code, message } },
    error: { code, message },
    notAsked,
  })
  const answer = await ask(`${url}/v1/snapshots/${id.toLowerCase()}/inspection`, token)
  if ('problem' in answer) return failed('api-unreachable', `the API at ${url} ${answer.problem}`, true)
  const { status, body } = answer
  if (status === 200 && isInspection(body)) {
    return { target: id, json: body, summary: body, fileCount: body.fileCount }
  }
  if (!Value.Check(Problem, body))
    return failed('api-unreachable', `the API at ${url} answered ${status} with something else`, true)
  // What says something about the snapshot; everything else, a wrong token for instance, says something about the asking.
  const ofSnapshot = status === 404 || status === 409
  return failed(body.code, body.detail, !ofSnapshot)
}

type Answer = { status: number; body: unknown } | { problem: string }

async function ask(address: string, token: string): Promise<Answer> {
  if (!URL.canParse(address)) return { problem: 'has no address that can be read: write http://host:port' }
  try {
    const answer = await fetch(address, {
      headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
      redirect: 'error', // the token is for this address only
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    return { status: answer.status, body: parseJson(await answer.text()) }
  } catch (error) {
    return { problem: `cannot be reached: ${rootOf(error)}` }
  }
}

/** `fetch failed` says nothing; its cause does. */
const rootOf = (error: unknown): string =>
  error instanceof Error
    ? error.cause instanceof Error
      ? error.cause.message || error.message
      : error.message
    : String(error)

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
