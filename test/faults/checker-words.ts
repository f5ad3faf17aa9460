/** Small words that the rules of the checker share. */
import type { TransitionRecord } from './history.ts'

export type Tell = (what: string) => void

/** `file:/x`, `file:///x` and a closing slash are the same place. */
export const normalise = (location: string): string =>
  location.replace(/^file:\/*/, 'file:///').replace(/\/+$/, '')
export const same = (a: string | null, b: string | null): boolean =>
  a !== null && b !== null && normalise(a) === normalise(b)

/** Segment by segment: `/a/bc` does not lie below `/a/b`. */
export function isBelow(folder: string, location: string): boolean {
  const [outer, inner] = [normalise(folder).split('/'), normalise(location).split('/')]
  if (inner.some((segment) => segment === '..' || segment === '.')) return false
  return inner.length > outer.length && outer.every((segment, index) => segment === inner[index])
}

export function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group) group.push(item)
    else groups.set(keyOf(item), [item])
  }
  return groups
}

export function tellRepeats<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  what: string,
  tell: Tell,
): void {
  for (const [key, group] of groupBy(items, keyOf)) {
    if (group.length > 1) tell(`${group.length} times the same ${what}: ${key}`)
  }
}

/** When it was Present; null when it never was. */
export function presentSpan(
  chain: readonly TransitionRecord[] | undefined,
): { from: number; to: number } | null {
  const began = chain?.find(({ to }) => to === 'Present')
  if (!began) return null
  const left = chain?.find(({ from }) => from === 'Present')
  return { from: began.at, to: left?.at ?? Number.POSITIVE_INFINITY }
}

export const isAcknowledged = ({ status }: { status: number | null }): boolean =>
  status !== null && status >= 200 && status < 300
