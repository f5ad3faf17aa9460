import { FormData, request } from 'undici'
import { isStackFrame } from './java-process.ts'

/** The few REST calls this folder needs. The product has its own client; sharing it would test it with itself. */
export async function getJson<T>(restUrl: string, path: string): Promise<T> {
  return await call<T>(restUrl, path, 'GET')
}

export async function postJson<T>(restUrl: string, path: string, body: object): Promise<T> {
  return await call<T>(restUrl, path, 'POST', JSON.stringify(body), { 'content-type': 'application/json' })
}

export async function putJson(restUrl: string, path: string, body: object): Promise<void> {
  await call(restUrl, path, 'PUT', JSON.stringify(body), { 'content-type': 'application/json' })
}

export async function patch(restUrl: string, path: string): Promise<void> {
  await call(restUrl, path, 'PATCH')
}

export async function postFile<T>(restUrl: string, path: string, field: string, file: File): Promise<T> {
  const form = new FormData()
  form.append(field, file)
  return await call<T>(restUrl, path, 'POST', form)
}

/** Without a limit a Flink whose object store does not answer would keep a caller for ever. */
const TIMEOUT_MS = 90_000

async function call<T>(
  restUrl: string,
  path: string,
  method: 'GET' | 'POST' | 'PATCH' | 'PUT',
  body: string | FormData | null = null,
  headers: Record<string, string> = {},
): Promise<T> {
  const timeouts = { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS }
  const response = await request(`${restUrl}${path}`, { method, body, headers, ...timeouts })
  const text = await response.body.text()
  if (response.statusCode >= 300) {
    throw new Error(`${method} ${path} answered ${response.statusCode}: ${summarizeTrace(text)}`)
  }
  return JSON.parse(text === '' ? '{}' : text) as T
}

/** The messages of a Java stack trace, outermost first, without its frames: those bury the one that says why. */
export function summarizeTrace(text: string): string {
  const lines = text.replaceAll('\\n', '\n').replaceAll('\\t', '\t').split('\n')
  const messages = lines.filter((line) => !isStackFrame(line))
  return messages.join('\n').slice(0, 4_000)
}
