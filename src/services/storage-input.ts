/** Whether the parts of a storage fit together. A change is checked as the whole that it would make. */
import { formatLocation, isInsideOrEqual, type Location, parseLocation } from '../domain/location.ts'
import type { StorageProvider } from '../domain/resources.ts'
import type { StorageValues } from '../ports/resources.ts'
import type { Caller, StorageInput } from './api.ts'
import { checkSecrets, readHttpUrl, refuseInput } from './check-input.ts'

/** Which local directories this installation lets storages lie in. */
export type StorageRules = { localRoots: readonly string[] }

const S3_PROVIDERS = ['aws', 'generic', 'minio', 'oss', 'cos', 'obs', 'gcs', 'flink-only'] as const

/** Who can stand behind a scheme, the default first. Any other scheme is Flink's alone. */
const PROVIDERS: Readonly<Record<string, readonly StorageProvider[]>> = {
  file: ['local', 'flink-only'],
  s3: S3_PROVIDERS,
  s3a: S3_PROVIDERS,
  s3n: S3_PROVIDERS,
  s3p: S3_PROVIDERS,
  oss: ['oss', 'generic', 'flink-only'],
  cos: ['cos', 'generic', 'flink-only'],
  cosn: ['cos', 'generic', 'flink-only'],
  obs: ['obs', 'generic', 'flink-only'],
  gs: ['gcs', 'flink-only'],
}
const FLINK_ONLY: readonly StorageProvider[] = ['flink-only']
const NEEDS_ENDPOINT: ReadonlySet<StorageProvider> = new Set(['generic', 'minio'])

export function readStorage(
  caller: Caller,
  input: StorageInput,
  { localRoots }: StorageRules,
): StorageValues {
  const root = parseLocation(input.uri)
  const endpoint = input.endpoint === undefined ? null : readHttpUrl('/endpoint', input.endpoint)
  const provider = chooseProvider(root, input.provider, endpoint)
  if (provider === 'local') checkLocalRoot(root, localRoots)
  checkCredentials(caller, input.credentials)
  return {
    name: input.name,
    uri: formatLocation(root),
    provider,
    endpoint,
    region: input.region ?? null,
    pathStyle: input.pathStyle ?? null,
    credentials: input.credentials ?? null,
    clearCheckpoints: input.clearCheckpoints ?? false,
  }
}

function chooseProvider(
  root: Location,
  given: StorageProvider | undefined,
  endpoint: string | null,
): StorageProvider {
  const possible = PROVIDERS[root.scheme] ?? FLINK_ONLY
  const provider =
    given ?? (possible === S3_PROVIDERS && endpoint !== null ? 'generic' : possible[0]) ?? 'flink-only'
  if (!possible.includes(provider)) {
    return refuseInput('/provider', `${root.scheme}:// can be ${possible.join(', ')}, not ${provider}`)
  }
  if (NEEDS_ENDPOINT.has(provider) && endpoint === null)
    refuseInput('/endpoint', `${provider} needs an endpoint`)
  return provider
}

function checkLocalRoot(root: Location, localRoots: readonly string[]): void {
  if (localRoots.some((allowed) => isInsideOrEqual(parseLocation(allowed), root))) return
  refuseInput(
    '/uri',
    'this installation does not allow storages in that directory',
    'STORAGE_ROOT_NOT_ALLOWED',
  )
}

function checkCredentials(caller: Caller, credentials: StorageInput['credentials']): void {
  if (credentials === undefined) return
  const { accessKeyId, secretAccessKey, sessionToken } = credentials
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    refuseInput('/credentials', 'accessKeyId and secretAccessKey go together')
  }
  if (sessionToken !== undefined && accessKeyId === undefined) {
    refuseInput('/credentials/sessionToken', 'a session token needs its access key')
  }
  checkSecrets(caller.namespace, {
    '/credentials/accessKeyId': accessKeyId,
    '/credentials/secretAccessKey': secretAccessKey,
    '/credentials/sessionToken': sessionToken,
  })
}
