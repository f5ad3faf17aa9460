/**
 * The layout of a Java stack trace (java.lang.Throwable.printStackTrace): a header `class: message`, tab-indented frames,
 * then the same again behind `Caused by: ` for every cause, the deepest last. Flink sends 30 to 130 kB of it per failure
 * (`real-flink.md` §5.4), and a hostile or endlessly wrapped one is possible (FLINK-37372), so everything here is linear in
 * the text and bounded in its answer.
 */

/** One throwable of the chain; `frame` is where it was thrown, e.g. `com.acme.Counter.snapshotState(Counter.java:42)`. */
export type Cause = { className: string; message: string; frame: string | null }

const CAUSED_BY = 'Caused by: '
const NEXT_CAUSE = `\n${CAUSED_BY}`
/** Of a longer chain the outermost and the deepest causes are kept. */
const MAX_CAUSES = 32
const MAX_TRACE_CHARS = 8_000
const OUTERMOST = { headerChars: 2_000, frames: 8 }
const DEEPER = { headerChars: 1_000, frames: 3 }
const MAX_FRAME_CHARS = 200

// Blanks only, never `\s`: a run of newlines must not be scanned once per newline.
const FIRST_FRAME = /\n[\t ]+(?:at |\.\.\. \d|Suppressed: )/
const CLASS_NAME = /^([A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)+)(?::\s*|$)/

/** Flink puts the reason at the end (`<detail> Failure reason: <reason>`) and details may be long SQL: cut the middle. */
export function cutMiddle(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text
  const head = Math.ceil((maxChars - 3) / 2)
  return `${text.slice(0, head)} … ${text.slice(text.length - (maxChars - 3 - head))}`
}

/** The trace within about 8 kB: the head, then every cause with its first frames; of too many causes the deepest. */
export function shortenTrace(text: string): string {
  const clean = text.includes('\0') ? text.replaceAll('\0', '') : text // Postgres stores no NUL
  if (clean.length <= MAX_TRACE_CHARS) return clean
  const { sections, dropped } = sectionsOf(clean)
  const [outermost = '', ...deeper] = sections
  const head = shortenSection(outermost, OUTERMOST)
  const kept = deepestWithin(deeper, MAX_TRACE_CHARS - head.length - 100)
  const leftOut = dropped + deeper.length - kept.length
  return [head, ...(leftOut > 0 ? [`\t… ${leftOut} causes left out`] : []), ...kept].join('\n')
}

/** The chain of causes, outermost first, at most 32 deep. */
export function parseCauses(text: string): Cause[] {
  return sectionsOf(text).sections.flatMap((section) => {
    const { header, frames } = splitSection(section, 1)
    const body = header.startsWith(CAUSED_BY) ? header.slice(CAUSED_BY.length) : header
    if (body.startsWith('[CIRCULAR REFERENCE')) return []
    return [{ ...parseHeader(body), frame: frames[0]?.trim().replace(/^at /, '') ?? null }]
  })
}

/** `class: message` taken apart; a text that does not begin with a class name is all message. */
export function parseHeader(header: string): { className: string; message: string } {
  const match = CLASS_NAME.exec(header)
  if (match === null) return { className: '', message: header.trim() }
  return { className: match[1] ?? '', message: header.slice(match[0].length).trim() }
}

/** The first section and the deepest ones; `dropped` between them. */
function sectionsOf(text: string): { sections: string[]; dropped: number } {
  const starts = [0]
  let found = 1
  for (let at = text.indexOf(NEXT_CAUSE); at !== -1; at = text.indexOf(NEXT_CAUSE, at + 1)) {
    starts.push(at + 1)
    found++
    if (starts.length > 2 * MAX_CAUSES) starts.splice(1, MAX_CAUSES)
  }
  if (starts.length > MAX_CAUSES) starts.splice(1, starts.length - MAX_CAUSES)
  const sections = starts.map((start) => {
    const end = text.indexOf(NEXT_CAUSE, start)
    return text.slice(start, end === -1 ? text.length : end)
  })
  return { sections, dropped: found - sections.length }
}

function splitSection(section: string, frameCount: number): { header: string; frames: string[] } {
  const at = section.search(FIRST_FRAME)
  if (at === -1) return { header: section.trimEnd(), frames: [] }
  const frames = section.slice(at + 1, at + 1 + frameCount * 4 * MAX_FRAME_CHARS).split('\n')
  return {
    header: section.slice(0, at),
    frames: frames.slice(0, frameCount).map((frame) => frame.slice(0, MAX_FRAME_CHARS)),
  }
}

function shortenSection(section: string, limits: { headerChars: number; frames: number }): string {
  const { header, frames } = splitSection(section, limits.frames)
  return [cutMiddle(header, limits.headerChars), ...frames].join('\n')
}

function deepestWithin(sections: readonly string[], budgetChars: number): string[] {
  const kept: string[] = []
  let left = budgetChars
  for (const section of sections.toReversed()) {
    const short = shortenSection(section, DEEPER)
    left -= short.length + 1
    if (left < 0) break
    kept.unshift(short)
  }
  return kept
}
