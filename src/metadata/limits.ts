/** Flink trusts its file and allocates from counts unchecked; a service reads files it did not write. */
export const DEFAULT_MAX_BYTES = 256 * 1024 * 1024
/**
 * Operators, subtasks, handles, channels: the smallest takes four bytes in the file and a hundred in memory. Files of 256 MiB that
 * Flink writes have fewer, for each file they name takes some seventy bytes.
 */
export const DEFAULT_MAX_PARTS = 10_000_000
/** `Transformation.UPPER_BOUND_MAX_PARALLELISM` */
export const MAX_KEY_GROUPS = 32_768
/** Key groups inside streams, and changelogs inside changelogs. */
export const MAX_HANDLE_DEPTH = 8
/** The properties take some 600 bytes. */
export const MAX_JAVA_BYTES = 65_536
export const MAX_JAVA_DEPTH = 16
export const MAX_JAVA_FIELDS = 64
export const MAX_JAVA_STRING_BYTES = 65_535

/** The fewest bytes one element can take: `count * least` beyond the rest of the file is a lie. */
export const LEAST_BYTES = {
  masterState: 18,
  operatorV2: 32,
  operatorV3: 29,
  operatorV5: 33,
  subtaskV2: 26,
  subtaskV3: 4,
  stateMeta: 7,
  localFile: 3,
  keyedHandle: 1,
  change: 8,
  offsetAndStream: 9,
  channelV3: 25,
  channelV6: 18,
  mergedChannel: 20,
  offset: 8,
} as const
