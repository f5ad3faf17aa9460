import type { ClusterAuth, SecretReference } from '../domain/resources.ts'
import type { ClusterValues } from '../ports/resources.ts'
import type { Caller, ClusterInput } from './api.ts'
import { checkSecrets, readHttpUrl } from './check-input.ts'

type Secrets = Record<string, SecretReference | undefined>

const SECRETS_OF: { [Type in ClusterAuth['type']]: (auth: Extract<ClusterAuth, { type: Type }>) => Secrets } =
  {
    none: () => ({}),
    basic: (auth) => ({ '/auth/password': auth.password }),
    bearer: (auth) => ({ '/auth/token': auth.token }),
    clientCertificate: (auth) => ({
      '/auth/certificate': auth.certificate,
      '/auth/key': auth.key,
      '/auth/ca': auth.ca,
    }),
  }

const secretsOf = <Type extends ClusterAuth['type']>(
  auth: Extract<ClusterAuth, { type: Type }> & { type: Type },
) => SECRETS_OF[auth.type](auth)

/** The given settings, checked; what is not given stays away. */
export function readClusterChanges(
  caller: Caller,
  { url, auth, mode, followIdentity }: Partial<Omit<ClusterInput, 'name'>>,
): Partial<Omit<ClusterValues, 'name'>> {
  if (auth !== undefined) checkSecrets(caller.namespace, secretsOf(auth))
  return {
    ...(url === undefined ? {} : { url: readHttpUrl('/url', url) }),
    ...(auth === undefined ? {} : { auth }),
    ...(mode === undefined ? {} : { mode }),
    ...(followIdentity === undefined ? {} : { followIdentity }),
  }
}
