/** Rows that are statements about Flink itself: answered by a page of ours, with the reason why no test of ours shows them. */
export const DOCUMENTED_ROWS: Readonly<Record<string, { page: string; reason: string }>> = {
  'A-02': {
    page: 'docs/state.md',
    reason: 'who owns a checkpoint is decided by Flink; that nobody else can is A-07',
  },
  'A-08': {
    page: 'docs/state.md',
    reason: "Flink's own default for a job that says nothing (num-retained 1)",
  },
  'C-14': { page: 'docs/state.md', reason: 'where Flink puts the files of its checkpoints' },
  'M-01': { page: 'docs/state.md', reason: 'what a checkpoint is to Flink' },
  'M-02': { page: 'docs/state.md', reason: 'what a savepoint is to Flink' },
  'M-05': { page: 'docs/state.md', reason: 'what an externalized checkpoint is to Flink' },
}
