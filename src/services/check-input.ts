/** Checks that a schema cannot express. Each throws with a pointer to the place in the body. */
import { DomainError, type ErrorCode } from '../domain/errors.ts'
import { findNameProblem } from '../domain/resource-name.ts'
import type { SecretReference } from '../domain/resources.ts'
import { findSecretProblem } from '../domain/secret-reference.ts'

/** `pointer` below the body, e.g. `/url`. */
export function refuseInput(pointer: string, detail: string, code: ErrorCode = 'VALIDATION_FAILED'): never {
  return refusePlace(`/body${pointer}`, detail, code)
}

/** Any place of the request, e.g. `/query/flinkVersion`. */
export function refusePlace(pointer: string, detail: string, code: ErrorCode = 'VALIDATION_FAILED'): never {
  throw new DomainError(code, detail, { errors: [{ pointer, detail }] })
}

export function checkName(name: string): void {
  const problem = findNameProblem(name)
  if (problem !== null) refuseInput('/name', problem, 'NAME_INVALID')
}

/** Refused at creation already: a reference that could never be read must not wait for the first use to say so. */
export function checkSecrets(
  namespace: string,
  secrets: Readonly<Record<string, SecretReference | undefined>>,
): void {
  for (const [pointer, reference] of Object.entries(secrets)) {
    const problem = reference && findSecretProblem(namespace, reference)
    if (problem) refuseInput(pointer, problem, 'SECRET_REFERENCE_INVALID')
  }
}

/** An http or https address without credentials, query and fragment, and without a final slash. */
export function readHttpUrl(pointer: string, text: string): string {
  if (!URL.canParse(text)) refuseInput(pointer, 'it is not a URL')
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    refuseInput(pointer, 'it must begin with http:// or https://')
  if (url.username !== '' || url.password !== '') {
    refuseInput(pointer, 'credentials in a URL end up in logs: name a secret instead')
  }
  if (url.search !== '' || url.hash !== '') refuseInput(pointer, 'it contains a query or a fragment')
  return url.href.replace(/\/+$/, '')
}
