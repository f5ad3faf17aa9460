/** Rows that are statements about Flink itself: answered by a page of ours, with the reason why no test of ours shows them. */
export const DOCUMENTED_ROWS: Readonly<Record<string, { page: string; reason: string }>> = {}
