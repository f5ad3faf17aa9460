/**
 * Every queue job: its name and payload. A payload carries at most ids; whoever handles one reads Postgres again.
 *
 * `savepoints-due` carries nothing at all: it wakes the sweep of one worker, which claims what is due in one statement. A
 * burst of requests then costs one queue job instead of thousands, and one that is lost costs the pause of the sweep.
 */
import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'

export const QUEUE_NAME = 'tidemark'

const PAYLOADS = {
  'savepoints-due': Type.Object({}, { additionalProperties: false }),
} as const

export type QueueJobName = keyof typeof PAYLOADS
export type QueuePayload<Name extends QueueJobName> = Static<(typeof PAYLOADS)[Name]>

/** Typed from the catalog: a missing handler does not compile. */
export type QueueHandlers = { [Name in QueueJobName]: (payload: QueuePayload<Name>) => Promise<void> }

const CHECKS = { 'savepoints-due': Compile(PAYLOADS['savepoints-due']) }

const isKnown = (name: string): name is QueueJobName => Object.hasOwn(PAYLOADS, name)

/** Runs the handler of a queue job; an unknown name or payload (of another version of us) throws and is dropped. */
export async function handle(handlers: QueueHandlers, name: string, data: unknown): Promise<void> {
  if (!isKnown(name)) throw new Error(`unknown queue job ${name}`)
  if (!CHECKS[name].Check(data)) throw new Error(`the payload of queue job ${name} has another shape`)
  await handlers[name](data)
}

/**
 * A queue job is a hint: it is tried once, and what it left undone the sweep finds. Nothing is kept of it, so Redis holds
 * no memory per savepoint.
 */
export const JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true } as const
