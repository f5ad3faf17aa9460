/** Which secrets a namespace may name. The same rule is applied again when the secret is read (`storage/secrets.ts`). */
import type { SecretReference } from './resources.ts'

const VARIABLE = /^[A-Z][A-Z0-9_]{0,254}$/
/** No segment begins with a dot: neither `..` nor the hidden generations of a mounted Kubernetes secret. */
const FILE = /^(?=.{1,255}$)[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/

export const secretPrefix = (namespace: string): string =>
  `TIDEMARK_SECRET_${namespace.toUpperCase().replaceAll('-', '_')}_`

/** Why this namespace cannot name this secret; null when it can. */
export function findSecretProblem(namespace: string, reference: SecretReference): string | null {
  if ('env' in reference && 'file' in reference) return 'a secret is either a variable or a file'
  if ('file' in reference) {
    return FILE.test(reference.file)
      ? null
      : "a secret file is named relative to the namespace's secrets directory, without dots in front"
  }
  const prefix = secretPrefix(namespace)
  const isOurs = reference.env.startsWith(prefix) && reference.env.length > prefix.length
  return isOurs && VARIABLE.test(reference.env)
    ? null
    : `secrets of this namespace are variables named ${prefix}…`
}
