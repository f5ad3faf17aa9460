/** Reads what clients send as Flink's flexible mapper does: unknown properties are ignored, wrong values refused. */
import { badBody, json, Refusal, refuse } from './reply.ts'

export type Fields = {
  text(name: string): string | null
  flag(name: string): boolean
  number(name: string): number | null
  oneOf<T extends string>(name: string, values: readonly T[]): T | null
  /** 32 hex digits. */
  id(name: string): string | null
  list(name: string): string[] | null
  texts(name: string): Record<string, string>
}

/** `format` is the Java class that Flink names when the body does not match. */
export function fieldsOf(body: unknown, format: string): Fields {
  const object = asObject(body, format)
  const wrong = (name: string, value: unknown) =>
    badBody(
      format,
      `Cannot deserialize value from ${JSON.stringify(value)} (through reference chain: ${format}["${name}"])`,
    )
  const text = (name: string): string | null => {
    const value = object.get(name) ?? null
    if (value === null || typeof value === 'string') return value
    if (typeof value === 'number' || typeof value === 'boolean') return String(value)
    throw wrong(name, value)
  }
  return {
    text,
    flag(name) {
      const value = text(name)
      if (value === null || value === 'false' || value === '') return false
      if (value === 'true') return true
      throw wrong(name, value)
    },
    number(name) {
      const value = text(name)
      if (value === null) return null
      if (!/^-?\d+$/.test(value)) throw wrong(name, value)
      return Number(value)
    },
    oneOf(name, values) {
      const value = text(name)
      if (value === null) return null
      const found = values.find((each) => each === value)
      if (found === undefined) throw wrong(name, value)
      return found
    },
    id(name) {
      const value = text(name)
      if (value !== null && !/^[0-9a-f]{32}$/i.test(value)) throw wrong(name, value)
      return value?.toLowerCase() ?? null
    },
    list(name) {
      const value = object.get(name) ?? null
      if (value === null) return null
      if (!Array.isArray(value)) throw wrong(name, value)
      return value.map(String)
    },
    texts(name) {
      const value = object.get(name) ?? null
      if (value === null) return {}
      if (typeof value !== 'object' || Array.isArray(value)) throw wrong(name, value)
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, String(each)]))
    },
  }
}

function asObject(body: unknown, format: string): Map<string, unknown> {
  if (body === undefined) return new Map()
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw badBody(format, `Cannot deserialize value of type ${format}`)
  }
  return new Map(Object.entries(body))
}

/** undefined for an empty body; the text itself when it is no JSON, which no format accepts. */
export function parseBody(bytes: Buffer): unknown {
  const text = bytes.toString('utf8')
  if (text.trim() === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

// ------------------------------------------------------------------------------------------------ multipart

/** The one file of an upload. */
export function readUpload(bytes: Buffer, contentType: string): { name: string; bytes: Buffer } {
  const [, boundary] = /boundary="?([^";]+)"?/.exec(contentType) ?? []
  const parts = boundary === undefined ? [] : splitParts(bytes, Buffer.from(`--${boundary}`))
  const attribute = parts.map(attributeName).find((name) => name !== undefined)
  if (attribute !== undefined) {
    throw new Refusal(json(400, { errors: [`Received unknown attribute ${attribute}.`] }))
  }
  const files = parts.flatMap(toFile)
  const [file] = files
  if (file === undefined || files.length !== 1) {
    throw refuse(400, `Exactly 1 file must be sent, received ${files.length}.`)
  }
  if (!file.name.endsWith('.jar')) throw refuse(400, 'Only Jar files are allowed.')
  return file
}

function splitParts(bytes: Buffer, delimiter: Buffer): Buffer[] {
  const parts: Buffer[] = []
  let start = bytes.indexOf(delimiter)
  while (start >= 0) {
    const next = bytes.indexOf(delimiter, start + delimiter.length)
    // Between the line break after one delimiter and the one before the next.
    if (next >= 0) parts.push(bytes.subarray(start + delimiter.length + 2, next - 2))
    start = next
  }
  return parts
}

const headOf = (part: Buffer): string => part.toString('utf8', 0, Math.max(0, part.indexOf('\r\n\r\n')))

/** The name of a part that is no file. */
function attributeName(part: Buffer): string | undefined {
  const head = headOf(part)
  return /filename=/i.test(head) ? undefined : /name="([^"]*)"/i.exec(head)?.[1]
}

function toFile(part: Buffer): { name: string; bytes: Buffer }[] {
  const end = part.indexOf('\r\n\r\n')
  const [, name] = /filename="([^"]*)"/i.exec(headOf(part)) ?? []
  if (name === undefined) return []
  return [{ name: name.split(/[\\/]/).at(-1) ?? name, bytes: part.subarray(end + 4) }]
}
