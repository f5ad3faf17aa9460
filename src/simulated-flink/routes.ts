/** The REST API: one handler per route, in the words of Flink's own handlers. */
import * as answers from './answers.ts'
import type { CheckpointEntry } from './checkpoint-statistics.ts'
import type { Cluster } from './cluster.ts'
import type { Dialect } from './dialect.ts'
import { addJar, type RunOrder, removeJar, runJar } from './jars.ts'
import { jobNotFound, throwable } from './java-throwable.ts'
import type { SimulatedJob } from './job.ts'
import { cancelJob } from './lifecycle.ts'
import { badParameter, internalError, json, notFound, type Reply, refuse } from './reply.ts'
import { fieldsOf, readUpload } from './request-body.ts'
import { disposeSavepoint, newTriggerId, trigger } from './triggers.ts'

export type RouteCall = {
  cluster: Cluster
  params: Readonly<Record<string, string>>
  query: URLSearchParams
  body: unknown
  bytes: Buffer
  contentType: string
  /** `http://host:port` of this server. */
  address: string
}

type Handler = (call: RouteCall) => Reply | Promise<Reply>
type Route = { method: string; path: string; handle: Handler; since?: (dialect: Dialect) => boolean }

const get = (path: string, handle: Handler, since?: (dialect: Dialect) => boolean): Route => ({
  method: 'GET',
  path,
  handle,
  ...(since && { since }),
})
const post = (path: string, handle: Handler, since?: (dialect: Dialect) => boolean): Route => ({
  ...get(path, handle, since),
  method: 'POST',
})

const ofCluster =
  (answer: (cluster: Cluster) => unknown): Handler =>
  ({ cluster }) =>
    json(200, answer(cluster))

/** What is seen of a job's execution graph, all of it at once: the three answers are of one moment. */
const ofGraph =
  (name: keyof ReturnType<typeof graphAnswers>): Handler =>
  (call) => {
    const job = findJob(call)
    return call.cluster.readCache.read('graph', job.id, () => graphAnswers(job, call.cluster))[name]()
  }

/** Without a cache only the one that is asked for is made. */
function graphAnswers(job: SimulatedJob, cluster: Cluster) {
  const once = (answer: (job: SimulatedJob, cluster: Cluster) => unknown) => {
    if (cluster.readCache.refreshMs === 0) return () => json(200, answer(job, cluster))
    const reply = json(200, answer(job, cluster))
    return () => reply
  }
  return {
    details: once(answers.jobAnswer),
    config: once(answers.jobConfigAnswer),
    exceptions: once(answers.exceptionsAnswer),
  }
}

function findJob({ cluster, params }: RouteCall): SimulatedJob {
  const jobId = params['jobid'] ?? ''
  const job = cluster.jobs.get(jobId)
  if (job === undefined) throw notFound(`Job ${jobId} not found`, jobNotFound(jobId))
  return job
}

/** A batch job has no coordinator. */
function findCoordinator(call: RouteCall): SimulatedJob {
  const job = findJob(call)
  if (job.type === 'BATCH') throw notFound('Checkpointing has not been enabled.')
  return job
}

export const ROUTES = {
  clusterConfig: get('/config', ofCluster(answers.configAnswer)),
  overview: get('/overview', ofCluster(answers.overviewAnswer)),
  jobManagerConfig: get('/jobmanager/config', ofCluster(answers.jobManagerConfigAnswer)),
  jobs: get('/jobs', ofCluster(answers.jobsAnswer)),
  jobsOverview: get('/jobs/overview', ofCluster(answers.jobsOverviewAnswer)),
  job: get('/jobs/:jobid', ofGraph('details')),
  cancelJob: { method: 'PATCH', path: '/jobs/:jobid', handle: handleCancel },
  jobStatus: get('/jobs/:jobid/status', handleStatus, (dialect) => dialect.jobStatus),
  jobConfig: get('/jobs/:jobid/config', ofGraph('config')),
  /** The cluster's, whatever the job: an unknown one gets it too. */
  jobJobManagerConfig: get(
    '/jobs/:jobid/jobmanager/config',
    ofCluster(answers.jobManagerConfigAnswer),
    (dialect) => dialect.jobStatus,
  ),
  exceptions: get('/jobs/:jobid/exceptions', ofGraph('exceptions')),
  checkpoints: get('/jobs/:jobid/checkpoints', handleCheckpoints),
  checkpointConfig: get('/jobs/:jobid/checkpoints/config', handleCheckpointConfig),
  checkpointDetails: get('/jobs/:jobid/checkpoints/details/:checkpointid', handleCheckpointDetails),
  triggerSavepoint: post('/jobs/:jobid/savepoints', handleSavepoint),
  readSavepoint: get('/jobs/:jobid/savepoints/:triggerid', handleReadSavepoint),
  stop: post('/jobs/:jobid/stop', handleStop),
  triggerCheckpoint: post(
    '/jobs/:jobid/checkpoints',
    handleCheckpoint,
    (dialect) => dialect.checkpointTriggers,
  ),
  readCheckpoint: get(
    '/jobs/:jobid/checkpoints/:triggerid',
    handleReadCheckpoint,
    (dialect) => dialect.checkpointTriggers,
  ),
  disposeSavepoint: post('/savepoint-disposal', handleDisposal),
  readDisposal: get('/savepoint-disposal/:triggerid', handleReadDisposal),
  jars: get('/jars', ({ cluster, address }) => json(200, answers.jarsAnswer(cluster, address))),
  uploadJar: post('/jars/upload', handleUpload),
  deleteJar: { method: 'DELETE', path: '/jars/:jarid', handle: handleDeleteJar },
  runJar: post('/jars/:jarid/run', handleRun),
} satisfies Record<string, Route>

export type RouteName = keyof typeof ROUTES

// ----------------------------------------------------------------------------------------------------- jobs

/** Not 404: the dispatcher's own exception reaches the client as an internal error, in 1.20 and in 2.3. */
function handleStatus({ cluster, params }: RouteCall): Reply {
  const jobId = params['jobid'] ?? ''
  const job = cluster.jobs.get(jobId)
  if (job === undefined) throw internalError(jobNotFound(jobId))
  return json(200, { status: job.state })
}

function handleCancel({ cluster, params, query }: RouteCall): Reply {
  const mode = query.get('mode') ?? 'cancel'
  if (mode === 'stop') {
    throw refuse(
      308,
      'The termination mode "stop" has been removed. For an ungraceful shutdown, please use "cancel" instead. For a graceful shutdown, please use "jobs/:jobId/stop" instead.',
    )
  }
  if (mode !== 'cancel') throw badParameter('query', 'mode', mode)
  const jobId = params['jobid'] ?? ''
  const job = cluster.jobs.get(jobId)
  if (job === undefined) throw refuse(404, 'Job could not be found.', jobNotFound(jobId))
  if (job.state === 'FINISHED' || job.state === 'FAILED') {
    const text = `Job cancellation failed because the job has already reached another terminal state (${job.state}).`
    throw refuse(409, text)
  }
  if (job.state !== 'CANCELED' && job.state !== 'CANCELLING') cancelJob(cluster, job)
  return json(202, {})
}

function handleCheckpoints(call: RouteCall): Reply {
  const job = findCoordinator(call)
  const { readCache } = call.cluster
  const body = readCache.read('statistics', job.id, () => answers.checkpointsBody(job, call.cluster))
  return { status: 200, body }
}

function handleCheckpointConfig(call: RouteCall): Reply {
  const reply = json(200, answers.checkpointConfigAnswer(findCoordinator(call), call.cluster))
  return { ...reply, body: answers.writeLongMax(reply.body) }
}

function handleCheckpointDetails(call: RouteCall): Reply {
  const job = findCoordinator(call)
  const id = Number(call.params['checkpointid'])
  const entry = job.statistics.history.find((each: CheckpointEntry) => each.id === id)
  if (entry === undefined) throw refuse(404, `Could not find checkpointing statistics for checkpoint ${id}.`)
  return json(200, answers.checkpointDetailsAnswer(entry, job, call.cluster))
}

// ------------------------------------------------------------------------------------------------- triggers

const FORMATS = ['CANONICAL', 'NATIVE'] as const

function handleSavepoint(call: RouteCall): Reply {
  return triggerSavepoint(call, {
    kind: 'savepoint',
    format: 'SavepointTriggerRequestBody',
    directoryField: 'target-directory',
    cancelField: 'cancel-job',
  })
}

function handleStop(call: RouteCall): Reply {
  return triggerSavepoint(call, {
    kind: 'stop',
    format: 'StopWithSavepointRequestBody',
    directoryField: 'targetDirectory',
    cancelField: null,
  })
}

function triggerSavepoint(
  { cluster, params, body }: RouteCall,
  request: { kind: 'savepoint' | 'stop'; format: string; directoryField: string; cancelField: string | null },
): Reply {
  const fields = fieldsOf(body, request.format)
  const { dialect } = cluster
  const format = (dialect.triggerIds && fields.oneOf('formatType', FORMATS)) || 'CANONICAL'
  const triggerId = (dialect.triggerIds && fields.id('triggerId')) || newTriggerId()
  const cancelJob = request.cancelField !== null && fields.flag(request.cancelField)
  const drain = request.kind === 'stop' && fields.flag('drain')
  const targetDirectory = fields.text(request.directoryField) ?? cluster.savepointDirectory
  if (targetDirectory === null) {
    const key = dialect.savepointDirectoryKey
    throw refuse(
      400,
      `Config key [${key}] is not set. Property [${request.directoryField}] must be provided.`,
    )
  }
  const jobId = params['jobid'] ?? ''
  trigger(cluster, { kind: request.kind, jobId, triggerId, targetDirectory, format, cancelJob, drain })
  return json(202, { 'request-id': triggerId })
}

function handleReadSavepoint({ cluster, params }: RouteCall): Reply {
  const { jobid: jobId = '', triggerid: triggerId = '' } = params
  const operation = cluster.operations.find('savepoint', triggerId, jobId)
  if (operation === undefined) throw unknownOperation(cluster, 'savepoint', triggerId, jobId)
  return json(200, answers.savepointAnswer(operation))
}

const CHECKPOINT_TYPES = ['CONFIGURED', 'FULL', 'INCREMENTAL'] as const

function handleCheckpoint({ cluster, params, body }: RouteCall): Reply {
  const fields = fieldsOf(body, 'CheckpointTriggerRequestBody')
  const type = fields.oneOf('checkpointType', CHECKPOINT_TYPES)
  if (type === 'INCREMENTAL' && cluster.dialect.refusesIncremental) {
    const text = 'Flink does not support triggering incremental checkpoint explicitly. See FLINK-33723.'
    throw internalError(throwable('java.lang.IllegalStateException', text))
  }
  const triggerId = fields.id('triggerId') ?? newTriggerId()
  const order = {
    kind: 'checkpoint',
    targetDirectory: null,
    format: null,
    cancelJob: false,
    drain: false,
  } as const
  trigger(cluster, { ...order, jobId: params['jobid'] ?? '', triggerId })
  return json(202, { 'request-id': triggerId })
}

function handleReadCheckpoint({ cluster, params }: RouteCall): Reply {
  const { jobid: jobId = '', triggerid: triggerId = '' } = params
  const operation = cluster.operations.find('checkpoint', triggerId, jobId)
  if (operation === undefined) throw unknownOperation(cluster, 'checkpoint', triggerId, jobId)
  return json(200, answers.checkpointAnswer(operation))
}

function unknownOperation(cluster: Cluster, kind: string, triggerId: string, jobId: string) {
  if (cluster.dialect.triggerIds) {
    return refuse(404, `There is no ${kind} operation with triggerId=${triggerId} for job ${jobId}.`)
  }
  return operationNotFound('job.AsynchronousJobOperationKey')
}

const operationNotFound = (key: string) =>
  notFound(`Operation not found under key: org.apache.flink.runtime.rest.handler.${key}@28`)

function handleDisposal({ cluster, body }: RouteCall): Reply {
  const path = fieldsOf(body, 'SavepointDisposalRequest').text('savepoint-path')
  if (path === null) throw refuse(400, 'Field savepoint-path must not be omitted or be null.')
  return json(200, { 'request-id': disposeSavepoint(cluster, path) })
}

function handleReadDisposal({ cluster, params }: RouteCall): Reply {
  const operation = cluster.operations.find('disposal', params['triggerid'] ?? '', '')
  if (operation === undefined) throw operationNotFound('async.OperationKey')
  return json(200, answers.disposalAnswer(operation))
}

// ----------------------------------------------------------------------------------------------------- jars

function handleUpload({ cluster, bytes, contentType }: RouteCall): Reply {
  const { name, bytes: jar } = readUpload(bytes, contentType)
  return json(200, answers.uploadAnswer(cluster, addJar(cluster, name, jar).id))
}

function handleDeleteJar({ cluster, params }: RouteCall): Reply {
  removeJar(cluster, params['jarid'] ?? '')
  return json(200, {})
}

async function handleRun(call: RouteCall): Promise<Reply> {
  const { cluster, params } = call
  const job = await runJar(cluster, params['jarid'] ?? '', readRun(call))
  return json(200, { jobid: job.id, ...(cluster.dialect.applications && { applicationId: job.id }) })
}

const CLAIM_MODES = ['CLAIM', 'NO_CLAIM', 'LEGACY'] as const

function readRun({ cluster, body }: RouteCall): RunOrder {
  const { dialect } = cluster
  const fields = fieldsOf(body, 'JarRunRequestBody')
  const claim = dialect.claimMode ? fields.oneOf('claimMode', CLAIM_MODES) : null
  const restore = dialect.triggerIds ? fields.oneOf('restoreMode', CLAIM_MODES) : null
  const line = dialect.programArgs ? fields.text('programArgs') : null
  return {
    jobId: fields.id('jobId'),
    entryClass: fields.text('entryClass'),
    programArgs: fields.list('programArgsList') ?? line?.split(/\s+/).filter((part) => part !== '') ?? [],
    parallelism: fields.number('parallelism'),
    savepointPath: fields.text('savepointPath'),
    claimMode: claim ?? restore ?? (dialect.triggerIds ? 'NO_CLAIM' : 'LEGACY'),
    allowNonRestoredState: fields.flag('allowNonRestoredState'),
    flinkConfiguration: dialect.checkpointTriggers ? fields.texts('flinkConfiguration') : {},
  }
}
