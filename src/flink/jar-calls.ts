/**
 * Jars: listed, uploaded, run (`flink-rest-api.md` §8). They are files of one JobManager process and gone with it. A run is
 * never repeated here: its job id is what tells afterwards whether it arrived.
 */
import { Type } from 'typebox'
import type { RunAnswer, RunRequest, UploadedJar } from '../domain/flink.ts'
import { isNoProgram } from '../domain/start-failure.ts'
import type { FlinkClient } from '../ports/flink.ts'
import { readAnswer, readErrors, unreadable } from './answers.ts'
import { type Ask, get, readKnown, readShape } from './asking.ts'
import type { HttpReply, HttpRequest } from './http.ts'
import { jarUpload } from './jar-upload.ts'
import { FlinkId, type Reader, reader } from './shape.ts'

type JarCalls = Pick<FlinkClient, 'listJars' | 'uploadJar' | 'runJar'>

export function createJarCalls(ask: Ask): JarCalls {
  return {
    listJars: () => get(ask, '/jars', readJars),
    async uploadJar(jar) {
      const request: HttpRequest = { method: 'POST', path: '/jars/upload', body: jarUpload(jar) }
      return readKnown(request, await ask(request), readUploaded)
    },
    async runJar(run): Promise<RunAnswer> {
      const request = toRun(run)
      const reply = await ask(request)
      const failure = reply.status === 500 ? readServerError(reply, run.jarId) : null
      if (failure !== null) return failure
      const answer = readAnswer(request, reply)
      if (answer.kind === 'ok') return checkStarted(request, answer.body, run.flinkJobId)
      const httpStatus = answer.kind === 'unknown' ? 404 : answer.httpStatus
      return { kind: 'refused', httpStatus, text: answer.text }
    },
  }
}

/**
 * WEB/handlers/JarRunRequestBody. Absent means Flink's own default, so nothing is sent as null; without a path to restore
 * the fields about it say nothing.
 */
function toRun(run: RunRequest): HttpRequest {
  const { entryClass, parallelism, savepointPath } = run
  const body = {
    jobId: run.flinkJobId,
    programArgsList: run.programArgs,
    ...(entryClass !== null && { entryClass }),
    ...(parallelism !== null && { parallelism }),
    ...(savepointPath !== null && {
      savepointPath,
      allowNonRestoredState: run.allowNonRestoredState,
      [run.claimModeField]: run.claimMode,
    }),
    flinkConfiguration: run.flinkConfiguration,
  }
  const path = `/jars/${encodeURIComponent(run.jarId)}/run`
  return { method: 'POST', path, body: JSON.stringify(body), isRun: true }
}

/** WEB/handlers/utils/JarHandlerUtils: thrown wrapped, hence a 500 and not a 4xx (seen on 1.20.4 and 2.3.0). */
const JAR_MISSING = /Jar file ([^\n]{1,2000}) does not exist/
/** The 500s of a run that are an answer; null: any other, which may or may not have started the job. */
function readServerError(reply: HttpReply, jarId: string): RunAnswer | null {
  const text = readErrors(reply.text)
  if (text === null) return null
  if (JAR_MISSING.exec(text)?.[1]?.endsWith(`/${jarId}`)) return { kind: 'jar-missing' }
  return isNoProgram(text) ? { kind: 'refused', httpStatus: reply.status, text } : null
}

function checkStarted(request: HttpRequest, body: unknown, flinkJobId: string): RunAnswer {
  const { jobid } = readShape(request, body, readStarted)
  if (jobid !== flinkJobId.toLowerCase())
    throw unreadable(request, `started the job under another id (${jobid})`)
  return { kind: 'started' }
}

// -------------------------------------------------------------------------------------------------- responses

/** WEB/handlers/JarListInfo */
const JarFiles = Type.Object({ files: Type.Array(Type.Object({ id: Type.String(), name: Type.String() })) })

const readJars: Reader<UploadedJar[]> = reader(JarFiles, ({ files }) =>
  files.map(({ id, name }) => ({ id, name })),
)

/** WEB/handlers/JarUploadResponseBody: `filename` is the path on the server, the id its last segment. */
const readUploaded: Reader<string> = reader(
  Type.Object({ filename: Type.String({ minLength: 1, maxLength: 4_096 }) }),
  ({ filename }) => filename.split(/[\\/]/).at(-1) || undefined,
)

/** WEB/handlers/JarRunResponseBody; `applicationId` beside it since 2.3. */
const readStarted: Reader<{ jobid: string }> = reader(Type.Object({ jobid: FlinkId }), ({ jobid }) => ({
  jobid,
}))
