/** The Flink that `tidemark up` talks to, and the sample job for it. */

export const SAMPLE_NAME = 'tidemark-sample'

/** What becomes the artifact and the arguments of version 1. */
export type Sample = { jar: Uint8Array; programArgs: string[] }

export type UpFlink = {
  kind: 'local' | 'simulated' | 'url'
  url: string
  version: string
  sample: Sample
  /** Started by us a moment ago: whatever ran on another one of ours is over. */
  fresh: boolean
  pids: number[]
  stop(): Promise<void>
}

export type FlinkStart = { directory: string; say: (line: string) => void }
