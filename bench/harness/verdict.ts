/**
 * A ratio is measured once per round, both sides minutes apart at most; what counts is the median and how far the rounds
 * lie apart. Rounds that disagree by more than a quarter are no result, whichever side of the bar they are on.
 */
export type Bar = { is: 'at least' | 'at most'; first: number; goal: number | null }

export type Ratio = { name: string; what: string; bar: Bar; rounds: number[] }

export type Verdict = Ratio & {
  median: number
  /** (largest − smallest) ÷ median. */
  spread: number
  verdict: 'goal' | 'first bar' | 'missed' | 'no result'
}

const LARGEST_SPREAD = 0.25

export function judge(ratio: Ratio): Verdict {
  const median = medianOf(ratio.rounds)
  const spread = (Math.max(...ratio.rounds) - Math.min(...ratio.rounds)) / median
  const reaches = (bar: number) => (ratio.bar.is === 'at least' ? median >= bar : median <= bar)
  const reached = reaches(ratio.bar.first) ? 'first bar' : 'missed'
  const best = ratio.bar.goal !== null && reaches(ratio.bar.goal) ? 'goal' : reached
  return { ...ratio, median, spread, verdict: spread > LARGEST_SPREAD ? 'no result' : best }
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}
