import type { ByteCursor } from './byte-cursor.ts'

/** A list with its count in front. It grows as it is read, so a false count costs nothing. */
export function readList<T>(
  cursor: ByteCursor,
  leastBytes: number,
  field: string,
  readItem: (cursor: ByteCursor) => T,
): T[] {
  return readItems(cursor, cursor.count(leastBytes, field), field, readItem)
}

export function readItems<T>(
  cursor: ByteCursor,
  count: number,
  field: string,
  readItem: (cursor: ByteCursor) => T,
): T[] {
  const items: T[] = []
  if (count === 0) return items
  cursor.enter(field)
  cursor.enter(0)
  while (items.length < count) {
    cursor.moveTo(items.length)
    cursor.countPart()
    items.push(readItem(cursor))
  }
  cursor.leave()
  cursor.leave()
  return items
}

/** A list of which each element is a unit of its own; awaits only those that have to wait for bytes. */
export async function readUnits<T>(
  cursor: ByteCursor,
  count: number,
  field: string,
  readUnit: (cursor: ByteCursor) => T,
): Promise<T[]> {
  const items: T[] = []
  cursor.enter(field)
  cursor.enter(0)
  while (items.length < count) {
    cursor.moveTo(items.length)
    cursor.countPart()
    const item = cursor.unit(readUnit)
    items.push(item instanceof Promise ? await item : item)
  }
  cursor.leave()
  cursor.leave()
  return items
}
