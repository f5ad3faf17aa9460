/** The Flink that `tidemark up` talks to, with the sample job running on it. */

export const SAMPLE_NAME = 'tidemark-sample'

export type UpFlink = {
  kind: 'local' | 'simulated' | 'url'
  url: string
  version: string
  flinkJobId: string
  pids: number[]
  stop(): Promise<void>
}

export type FlinkStart = { directory: string; say: (line: string) => void }
