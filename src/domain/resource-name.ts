const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const UUID_SHAPED = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** In lower case, as we write ids. */
export const isUuidShaped = (text: string): boolean => UUID_SHAPED.test(text)

/** Why this cannot be a name; null when it can. A UUID-shaped reference is always an id, so no name may look like one. */
export function findNameProblem(name: string): string | null {
  if (!DNS_LABEL.test(name)) {
    return 'a name has 1 to 63 lower-case letters, digits and dashes, and begins and ends with a letter or digit'
  }
  return isUuidShaped(name) ? 'a name must not look like a UUID' : null
}
