import { artifactLocation } from '../domain/artifact.ts'
import { formatLocation } from '../domain/location.ts'
import type { StorageRow } from '../ports/resources.ts'
import type { Artifact } from './api.ts'

export const showArtifact = (
  { id, name, address }: StorageRow,
  { sha256, sizeBytes, mainClass, existed }: Pick<Artifact, 'sha256' | 'sizeBytes' | 'mainClass' | 'existed'>,
): Artifact => ({
  artifact: `sha256:${sha256}`,
  sha256,
  sizeBytes,
  storage: { id, name },
  location: formatLocation(artifactLocation(address.root, sha256)),
  mainClass,
  existed,
})
