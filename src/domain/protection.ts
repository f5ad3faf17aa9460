/** Why a snapshot is spared although nobody uses it: the last sentence of `product.md` §1.4. A person's `force` overrides it. */
export const PROTECTIONS = [
  'NEWEST_RESTORABLE_SAVEPOINT',
  'NEWEST_RESTORABLE_SNAPSHOT',
  'ROLLBACK_POINT',
] as const
export type ProtectionCode = (typeof PROTECTIONS)[number]
/** `until`: of a ROLLBACK_POINT, when its window ends. */
export type Protection = { code: ProtectionCode; message: string; until: string | null }
