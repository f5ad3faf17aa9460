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
  'A-52': {
    page: 'docs/compatibility.md#sql',
    reason: 'which changes of a query keep its state is decided by the planner of Flink',
  },
  'C-01': {
    page: 'docs/versions.md#recovery',
    reason: 'whether a source can be replayed is known to the program alone',
  },
  'C-03': {
    page: 'docs/versions.md#timeout',
    reason: 'what Flink does with an attempt that is too slow',
  },
  'C-10': {
    page: 'docs/versions.md#storage',
    reason: "where Flink's defaults keep state and checkpoints",
  },
  'C-13': {
    page: 'docs/versions.md#storage',
    reason: 'where Flink takes the directory from; setting it per version is P-17',
  },
  'C-14': { page: 'docs/state.md', reason: 'where Flink puts the files of its checkpoints' },
  'M-01': { page: 'docs/state.md', reason: 'what a checkpoint is to Flink' },
  'M-02': { page: 'docs/state.md', reason: 'what a savepoint is to Flink' },
  'P-21': {
    page: 'docs/versions.md#storage',
    reason: 'how available a storage is, is its own promise',
  },
  'M-05': { page: 'docs/state.md', reason: 'what an externalized checkpoint is to Flink' },
}
