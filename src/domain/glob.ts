/**
 * Patterns over Flink job names: `*` is any text, `?` one character, everything else is itself. Matched by walking both
 * texts once with one place to go back to, never by a regular expression: at worst pattern length × name length steps,
 * whatever a hostile pattern looks like.
 */
export function compileGlob(pattern: string): (name: string) => boolean {
  // Characters, not halves of them. `**` says no more than `*`.
  const wanted = [...pattern.replace(/\*+/g, '*')]
  return (name) => matches(wanted, [...name])
}

function matches(wanted: readonly string[], name: readonly string[]): boolean {
  let at = 0
  let next = 0
  /** The last `*` met, and where the text it stands for ends so far. */
  let star = -1
  let starEnd = 0
  while (at < name.length) {
    if (next < wanted.length && wanted[next] === '*') {
      star = next
      starEnd = at
      next += 1
    } else if (next < wanted.length && (wanted[next] === '?' || wanted[next] === name[at])) {
      next += 1
      at += 1
    } else if (star >= 0) {
      starEnd += 1
      at = starEnd
      next = star + 1
    } else {
      return false
    }
  }
  while (wanted[next] === '*') next += 1
  return next === wanted.length
}
