import type { Ratio } from './verdict.ts'

export type BenchOptions = {
  seed: number
  rounds: number
  /** 1 is the size in the table; smaller is for trying the benchmark itself out. */
  scale: number
}

export type BenchOutcome = {
  ratios: Ratio[]
  /** Absolute figures of each round: printed and kept, never compared between runs. */
  figures: Record<string, number>[]
}

export type Benchmark = { name: string; title: string; run(options: BenchOptions): Promise<BenchOutcome> }
