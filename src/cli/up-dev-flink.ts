/**
 * `dev/flink`, which fetches and starts a real Flink, belongs to the repository and not to what is shipped: it is loaded
 * when asked for, and only where TypeScript can be loaded. These are the parts of it that `tidemark up` uses.
 */
import { UpError } from './up-error.ts'

type Distribution = { readonly version: string }

export type RealFlink =
  | { readonly found: true; readonly version: string; readonly from: string }
  | { readonly found: false; readonly reason: string }

type Cluster = {
  readonly restUrl: string
  readonly version: string
  readonly jobManagerPid: number | undefined
  readonly taskManagerPids: readonly number[]
  readonly controlDir: string
  stop(): Promise<void>
}

export type DevFlink = {
  findRealFlink(asked: string): Promise<RealFlink>
  getFlink(asked: string): Promise<Distribution>
  buildSampleJob(flink: Distribution): Promise<string>
  startFlinkCluster(options: { version: string; workDir: string }): Promise<Cluster>
}

const FOLDER = new URL('../../dev/flink/', import.meta.url)
const FILES = ['distribution.ts', 'java-programs.ts', 'cluster.ts']

export async function loadDevFlink(): Promise<DevFlink> {
  try {
    const modules: DevFlink[] = await Promise.all(FILES.map((file) => import(new URL(file, FOLDER).href)))
    return Object.assign({}, ...modules)
  } catch (error) {
    throw new UpError(NOT_THERE, { cause: error })
  }
}

const NOT_THERE =
  'What starts a real Flink is not part of this installation: use `npm run up` in the repository, --flink simulated, or --flink with the address of a running one.'
