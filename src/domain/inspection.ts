/** What is kept of the `_metadata` of a snapshot. */
import type { MetadataSummary } from '../metadata/summarize.ts'

/** The summary without its lists of files, which are rows of their own. 64-bit numbers are texts, as offline. */
export type InspectionSummary = Omit<MetadataSummary, 'files' | 'relativeFiles' | 'absoluteFiles'>

export type SnapshotInspection = {
  summary: InspectionSummary
  /** Of the `_metadata` file. */
  metadataBytes: number
  fileCount: number
  /** Of the files whose size the metadata tells. */
  fileBytes: number
  inspectedAt: string
}

export type StoredFile = {
  /** From 0, in the order of the metadata. */
  position: number
  /** The normalised location; null when the metadata names a place that is no location. */
  key: string | null
  /** As the metadata writes it. */
  path: string
  kind: 'relative' | 'absolute' | 'segment'
  roles: string[]
  sizeBytes: number | null
  /** How often the metadata names it. */
  references: number
  mayBeShared: boolean
}
