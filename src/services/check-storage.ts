/**
 * Proves that we can do with a storage what clearing and verifying will need: write, list, read and delete one small object
 * of our own. It ends at the first step that fails, but what was written is always tried to be deleted.
 */
import { DomainError, StorageError } from '../domain/errors.ts'
import { joinLocation, type Location, sameLocation } from '../domain/location.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type { ObjectStore, ObjectStores } from '../ports/storage.ts'
import type { Services, StorageCheck } from './api.ts'
import { scopeOf } from './caller.ts'
import { findStorage } from './find-resource.ts'
import { listPages } from './list-pages.ts'
import { codeOf } from './storage-errors.ts'

type Ports = {
  storages: Pick<StorageRepository, 'find'>
  stores: Pick<ObjectStores, 'of'>
  newId: () => string
}
type Step = StorageCheck['steps'][number]
type Attempt = (store: ObjectStore, folder: Location, object: Location) => Promise<void>

const CONTENT = new TextEncoder().encode('Tidemark wrote this to check the storage and deletes it at once.\n')

const ATTEMPTS: Record<Step['step'], Attempt> = {
  write: (store, _folder, object) => store.put(object, CONTENT),
  list: async (store, folder, object) => {
    if (!(await findInListing(store, folder, object))) throw inconsistent('The listing does not show it.')
  },
  read: async (store, _folder, object) => {
    const bytes = await store.readRange(object, 0, CONTENT.length)
    if (!bytes || !CONTENT.every((byte, at) => byte === bytes[at])) {
      throw inconsistent('It reads back as something else.')
    }
  },
  delete: async (store, _folder, object) => {
    const [failure] = await store.deleteMany([object])
    if (failure) throw new StorageError('refused', `${failure.code}: ${failure.message}`)
    if (await store.head(object)) throw inconsistent('It is still there after it was deleted.')
  },
}

export const checkStorage =
  ({ storages, stores, newId }: Ports): Services['checkStorage'] =>
  async ({ caller, storage }) => {
    const { address } = await findStorage(storages, scopeOf(caller), storage)
    const store = stores.of(address)
    const folder = joinLocation(address.root, '_tidemark-probe')
    const object = joinLocation(folder, newId())
    const steps: Step[] = []
    const run = async (step: Step['step']) => {
      const result = await attempt(step, () => ATTEMPTS[step](store, folder, object))
      steps.push(result)
      return result.ok
    }
    if (await run('write')) {
      if (await run('list')) await run('read')
      await run('delete')
    }
    const rules = steps.every((step) => step.ok) ? await findRules(store) : null
    return { ok: steps.every((step) => step.ok), steps, rules }
  }

/** What cannot be found out is not known, and no reason to call the storage bad. */
async function findRules(store: ObjectStore): Promise<StorageCheck['rules']> {
  if (!store.findRules) return []
  try {
    return await store.findRules()
  } catch (error) {
    if (error instanceof StorageError || error instanceof DomainError) return null
    throw error
  }
}

async function attempt(step: Step['step'], work: () => Promise<void>): Promise<Step> {
  const startedAt = performance.now()
  const end = (code: string | null, message: string | null): Step => ({
    step,
    ok: code === null,
    code,
    message,
    durationMs: Math.round(performance.now() - startedAt),
  })
  try {
    await work()
    return end(null, null)
  } catch (error) {
    const code = codeOf(error)
    if (code === null || !(error instanceof Error)) throw error
    return end(code, error.message)
  }
}

/** Other checks may be under way in the same folder, so ours can stand on a later page. */
async function findInListing(store: ObjectStore, folder: Location, object: Location): Promise<boolean> {
  for await (const { objects } of listPages(store, folder)) {
    if (objects.some(({ location }) => sameLocation(location, object))) return true
  }
  return false
}

const inconsistent = (message: string) => new StorageError('not-found', message)
