/** What tests may assert on: each request an in-process S3 was sent. */
export type LoggedRequest = {
  method: string
  /** Bucket and key as sent, still percent-encoded. */
  path: string
  query: Record<string, string>
  /** Of DeleteObjects: the keys it names. */
  deletedKeys: readonly string[]
  /** Undefined while no answer has been sent. */
  status?: number
}

export function describeRequest(method: string, rawUrl: string, body: unknown): LoggedRequest {
  // Not `new URL`: that would resolve `a/../b`, and which key was asked for is what tests want to know.
  const [path = '', search] = rawUrl.split('?', 2)
  const query = Object.fromEntries(new URLSearchParams(search))
  const isDeleteObjects = method === 'POST' && 'delete' in query
  return { method, path, query, deletedKeys: isDeleteObjects ? parseKeys(String(body)) : [] }
}

const parseKeys = (xml: string) =>
  Array.from(xml.matchAll(/<Key>(.*?)<\/Key>/gs), ([, key = '']) => unescapeXml(key))

const ENTITIES: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }

function unescapeXml(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16))
    if (decimal) return String.fromCodePoint(Number(decimal))
    return ENTITIES[name] ?? whole
  })
}
