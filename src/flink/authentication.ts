/** Credentials of a cluster, read through the Secrets port when they are needed and never kept in a message. */
import { buildConnector, type Client } from 'undici'
import type { ClusterAuth, SecretReference } from '../domain/resources.ts'
import type { ClusterAddress } from '../ports/flink.ts'
import type { Secrets } from '../ports/storage.ts'
import { neverAsked } from './http-errors.ts'

/** Mounted secrets rotate; within this time, or after a 401, the new one is used. */
const KEEP_SECRET_MS = 60_000

export type Authorization = { header(): Promise<string | null>; forget(): void }
type ReadSecret = (reference: SecretReference) => Promise<string>
type CertificateAuth = Extract<ClusterAuth, { type: 'clientCertificate' }>

export function createAuthorization(secrets: Secrets, address: ClusterAddress): Authorization {
  const read = secretReader(secrets, address)
  let kept: { header: string | null; readAtMs: number } | null = null
  return {
    async header() {
      if (kept === null || performance.now() - kept.readAtMs > KEEP_SECRET_MS) {
        kept = { header: await buildHeader(address.auth, read), readAtMs: performance.now() }
      }
      return kept.header
    },
    forget() {
      kept = null
    },
  }
}

/** How sockets are opened; a client certificate is read for each new one, so that a renewed one is used. */
export function createConnect(
  secrets: Secrets,
  address: ClusterAddress,
  connectTimeoutMs: number,
): Client.Options['connect'] {
  const { auth } = address
  if (auth.type !== 'clientCertificate') return { timeout: connectTimeoutMs }
  const read = secretReader(secrets, address)
  return (options, callback) => {
    readCertificate(auth, read).then(
      (tls) => buildConnector({ ...tls, timeout: connectTimeoutMs })(options, callback),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
    )
  }
}

async function buildHeader(auth: ClusterAuth, read: ReadSecret): Promise<string | null> {
  switch (auth.type) {
    case 'basic':
      return `Basic ${Buffer.from(`${auth.username}:${await read(auth.password)}`).toString('base64')}`
    case 'bearer':
      return `Bearer ${await read(auth.token)}`
    default:
      return null
  }
}

async function readCertificate(auth: CertificateAuth, read: ReadSecret) {
  const [cert, key, ca] = await Promise.all([
    read(auth.certificate),
    read(auth.key),
    auth.ca === undefined ? undefined : read(auth.ca),
  ])
  return { cert, key, ...(ca === undefined ? {} : { ca }) }
}

/** A secret that cannot be read means: could not ask. A file usually ends with a newline that is not part of it. */
function secretReader(secrets: Secrets, { namespace, url }: ClusterAddress): ReadSecret {
  return async (reference) => {
    try {
      return (await secrets.read(namespace, reference)).replace(/[\r\n]+$/, '')
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw neverAsked(
        'unauthorized',
        `the credentials for ${new URL(url).origin} cannot be read: ${reason}`,
        error,
      )
    }
  }
}
