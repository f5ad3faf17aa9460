/** The API as a client sees it: HTTP only. */
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'

export type ApiAnswer<Body = Record<string, unknown>> = {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: Body
}

export type Api = {
  url: string
  call<Body = Record<string, unknown>>(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT',
    path: string,
    options?: { body?: unknown; headers?: Record<string, string>; token?: string | null },
  ): Promise<ApiAnswer<Body>>
}

/** Bytes are sent as they are, under the content type given. */
const serialize = (body: unknown): string | Uint8Array =>
  body instanceof Uint8Array ? body : JSON.stringify(body)

/** Bodies are JSON in and out; an empty answer is `{}`. */
export const apiClient = (url: string, token: string): Api => ({
  url,
  async call<Body>(
    method: Parameters<Api['call']>[0],
    path: string,
    options: NonNullable<Parameters<Api['call']>[2]> = {},
  ) {
    const bearer = options.token === undefined ? token : options.token
    const answer = await request(`${url}${path}`, {
      method,
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: serialize(options.body) }),
      headersTimeout: 90_000,
      bodyTimeout: 90_000,
    })
    const text = await answer.body.text()
    const body: Body = JSON.parse(text === '' ? '{}' : text)
    return { status: answer.statusCode, headers: answer.headers, body }
  },
})

/** Waits for a condition, not for time to pass. `what` names it when it does not come. */
export async function until<Value>(
  what: string,
  look: () => Promise<Value | null | undefined | false>,
  withinMs = 30_000,
): Promise<Value> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const value = await look()
    if (value !== null && value !== undefined && value !== false) return value
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await sleep(50)
  }
}
