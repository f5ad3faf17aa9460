/**
 * Secrets by reference. A namespace can name only variables `TIDEMARK_SECRET_<NAMESPACE>_…` and files in its own folder
 * of the secrets directory; whatever else is named is refused before it is looked for. Messages never hold a value.
 */
import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { DomainError } from '../domain/errors.ts'
import { secretPrefix } from '../domain/secret-reference.ts'
import type { Secrets } from '../ports/storage.ts'

export type SecretsOptions = {
  env: Readonly<Record<string, string | undefined>>
  /** null: no secret can be a file. */
  secretsDir: string | null
  /**
   * Every namespace of the installation. `TIDEMARK_SECRET_A_B_KEY` fits both `a` and `a-b`: it belongs to the longest
   * that fits, so that one tenant cannot name another's.
   */
  namespaces: () => readonly string[]
}

const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const VARIABLE = /^[A-Z][A-Z0-9_]{0,254}$/
/** No segment begins with a dot: neither `..` nor the hidden generations of a mounted Kubernetes secret. */
const FILE = /^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/
const MAX_BYTES = 64 * 1024

export function createSecrets(options: SecretsOptions): Secrets {
  return {
    async read(namespace, reference) {
      if (!NAMESPACE.test(namespace)) throw invalid('The namespace is not a name')
      if ('env' in reference && !('file' in reference)) return readVariable(options, namespace, reference.env)
      if ('file' in reference && !('env' in reference))
        return readSecretFile(options, namespace, reference.file)
      throw invalid('A secret is either an environment variable or a file')
    },
  }
}

const invalid = (message: string, cause?: unknown): DomainError =>
  new DomainError('SECRET_REFERENCE_INVALID', message, { cause })

const missing = (message: string, cause?: unknown): DomainError =>
  new DomainError('SECRET_MISSING', message, { cause })

function readVariable({ env, namespaces }: SecretsOptions, namespace: string, name: string): string {
  const prefix = secretPrefix(namespace)
  if (!VARIABLE.test(name) || !name.startsWith(prefix) || name.length === prefix.length) {
    throw invalid(`Secrets of this namespace are variables named ${prefix}…`)
  }
  const longerPrefixes = namespaces()
    .map(secretPrefix)
    .filter((other) => other.length > prefix.length)
  if (longerPrefixes.some((other) => name.startsWith(other))) {
    throw invalid(`The variable ${name} belongs to another namespace`)
  }
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  if (value === undefined || value === '') throw missing(`The variable ${name} is not set`)
  return value
}

async function readSecretFile(
  { secretsDir }: SecretsOptions,
  namespace: string,
  name: string,
): Promise<string> {
  if (secretsDir === null) throw invalid('This installation has no secrets directory')
  if (name.length > 255 || !FILE.test(name)) {
    throw invalid(
      "A secret file is named relative to the namespace's secrets directory, without dots in front",
    )
  }
  const path = await resolveSecretFile(secretsDir, namespace, name)
  const value = await readSmallFile(path, name)
  if (value === '') throw missing(`The secret file ${name} is empty`)
  return value
}

/** Links are followed, mounted secrets are full of them, but must end in the namespace's own folder. */
async function resolveSecretFile(secretsDir: string, namespace: string, name: string): Promise<string> {
  const [directory, folder, path] = await Promise.all(
    [secretsDir, join(secretsDir, namespace), join(secretsDir, namespace, name)].map((each) =>
      realpath(each),
    ),
  ).catch((error: unknown) => {
    throw missing(`The secret file ${name} does not exist or cannot be reached`, error)
  })
  if (directory === undefined || folder === undefined || path === undefined) throw missing(name)
  if (!isInside(directory, folder) || basename(folder) !== namespace || !isInside(folder, path)) {
    throw invalid(`The secret file ${name} leads outside the namespace's secrets directory`)
  }
  return path
}

const isInside = (folder: string, path: string): boolean => {
  const way = relative(folder, path)
  return way !== '' && way !== '..' && !way.startsWith('../')
}

async function readSmallFile(path: string, name: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    (error: unknown) => {
      throw missing(`The secret file ${name} cannot be opened`, error)
    },
  )
  try {
    if (!(await file.stat()).isFile()) throw invalid(`The secret ${name} is not a file`)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES + 1), 0, MAX_BYTES + 1, 0)
    if (bytesRead > MAX_BYTES) throw invalid(`The secret file ${name} is larger than ${MAX_BYTES} bytes`)
    return buffer.toString('utf8', 0, bytesRead).replace(/\r?\n$/, '')
  } finally {
    await file.close()
  }
}
