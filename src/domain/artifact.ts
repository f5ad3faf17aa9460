/** Jars: by content as `POST /v1/artifacts` keeps them, or anywhere inside a storage. */
import { joinLocation, type Location, parseLocation } from './location.ts'

/** `sha256`: 64 lower-case hexadecimal digits. */
export type ArtifactReference = { kind: 'content'; sha256: string } | { kind: 'location'; location: Location }

const CONTENT = /^sha256:([0-9a-f]{64})$/

/** `sha256:<64 hex>`, else a location; throws LOCATION_INVALID. */
export function parseArtifact(text: string): ArtifactReference {
  const [, sha256] = CONTENT.exec(text) ?? []
  return sha256 === undefined
    ? { kind: 'location', location: parseLocation(text) }
    : { kind: 'content', sha256 }
}

/** `<root>/_artifacts/<sha256>`. No namespace begins with `_`, so no savepoint ever lies there. */
export const artifactLocation = (root: Location, sha256: string): Location =>
  joinLocation(root, '_artifacts', sha256)

/** What stays of a jar when it is opened. */
export type JarFindings = { hasClasses: boolean; hasManifest: boolean; mainClass: string | null }

/** A main class of more characters is none; also the bound of `entryClass` of a version. */
const MAX_CLASS_LENGTH = 512

/**
 * The class Flink starts when a version names none: `program-class`, else `Main-Class`
 * (org.apache.flink.client.program.PackagedProgram). null when the manifest names none that could be one.
 */
export function readMainClass(manifest: string): string | null {
  const attributes = readMainAttributes(manifest)
  const name = attributes.get('program-class') ?? attributes.get('main-class')
  if (name === undefined || name.length > MAX_CLASS_LENGTH) return null
  return /^[^\s\p{Cc}\p{Cs}]+$/u.test(name) ? name : null
}

/** The first section (java.util.jar.Manifest): names in any case, a line that begins with a space continues the one before. */
function readMainAttributes(manifest: string): ReadonlyMap<string, string> {
  const [section = ''] = manifest.split(/\r\n\r\n|\n\n|\r\r/, 1)
  const lines = section.replace(/(?:\r\n|\n|\r) /g, '').split(/\r\n|\n|\r/)
  const attributes = new Map<string, string>()
  for (const line of lines) {
    const [, name, value] = /^([\w-]{1,70}): ?(.*)$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) attributes.set(name.toLowerCase(), value.trim())
  }
  return attributes
}
