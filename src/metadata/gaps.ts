import type { InlineBytes } from './model.ts'

/** Inline state at a place in the window. `inWindow` is 0 once its bytes have been cut out. */
export type Gap = { at: number; inWindow: number; inline: InlineBytes }

/** The window from `start` on, without the bytes of the given inline states, and where these would now be. */
export function withoutGaps(window: Uint8Array, start: number, passed: readonly Gap[]) {
  const parts: Uint8Array[] = []
  const gaps: Gap[] = []
  let from = start
  let removed = start
  for (const { at, inWindow, inline } of passed) {
    gaps.push({ at: at - removed, inWindow: 0, inline })
    if (inWindow === 0) continue
    parts.push(window.subarray(from, at))
    from = at + inWindow
    removed += inWindow
  }
  parts.push(window.subarray(from))
  return { parts, length: window.length - removed, gaps }
}

export function joinBytes(parts: readonly Uint8Array[], length: number): Uint8Array {
  const joined = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
