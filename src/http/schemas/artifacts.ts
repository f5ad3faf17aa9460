import { Type } from 'typebox'
import { CLOSED, named, nullable } from './base.ts'
import { PATTERNS } from './formats.ts'
import { idOrName } from './parameters.ts'

/** The first one is what we ask for; the others are what tools send. */
export const JAR_MEDIA_TYPES = [
  'application/java-archive',
  'application/x-java-archive',
  'application/zip',
  'application/octet-stream',
] as const

/** Bytes: OpenAPI 3.1 says so by a media type and no `type`. */
export const JarBody = Type.Unsafe<undefined>({
  content: Object.fromEntries(
    JAR_MEDIA_TYPES.map((mediaType) => [
      mediaType,
      { schema: { description: 'The jar itself.', contentMediaType: mediaType } },
    ]),
  ),
})

export const ArtifactPath = Type.Object(
  {
    artifact: Type.String({
      pattern: PATTERNS.artifact,
      maxLength: 71,
      description: '`sha256:` and 64 hexadecimal digits in lower case.',
    }),
  },
  CLOSED,
)

export const ArtifactQuery = Type.Object({ storage: idOrName('storage') }, CLOSED)

export const Artifact = named(
  'Artifact',
  Type.Object(
    {
      artifact: Type.String({ description: '`sha256:…`: the `artifact` of a version.' }),
      sha256: Type.String({ description: '64 hexadecimal digits in lower case.' }),
      sizeBytes: Type.Integer({ description: 'Bytes.' }),
      storage: Type.Object({ id: Type.String(), name: Type.String() }),
      location: Type.String({ description: 'Where it lies: `<root>/_artifacts/<sha256>`.' }),
      mainClass: nullable(
        Type.String({
          description:
            'What Flink starts when a version names no `entryClass`: `program-class`, else `Main-Class` of its manifest; null when that names none.',
        }),
      ),
      existed: Type.Boolean({ description: 'The same content was there already.' }),
    },
    { description: 'A jar, known by its content. It is the same in every storage it is uploaded to.' },
  ),
)
