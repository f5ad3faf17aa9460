/** `tidemark up` is a client of the API like any other: HTTP and the token. */
import { UpError } from './up-error.ts'

export type ApiAnswer<Body> = { status: number; headers: Headers; body: Body }

export type UpApi = {
  /** null when there is no such resource. */
  find<Body>(path: string): Promise<Body | null>
  call<Body>(
    method: 'GET' | 'POST' | 'PATCH',
    path: string,
    body?: object,
    headers?: Record<string, string>,
  ): Promise<ApiAnswer<Body>>
  upload<Body>(path: string, bytes: Uint8Array, contentType: string): Promise<Body>
}

type Problem = { code?: string; detail?: string }

export function createUpApi(url: string, token: string): UpApi {
  const ask = async (method: string, path: string, body?: object, headers?: Record<string, string>) =>
    send(method, path, body ? JSON.stringify(body) : null, {
      ...(body && { 'content-type': 'application/json' }),
      ...headers,
    })
  const send = async (
    method: string,
    path: string,
    body: string | Uint8Array | null,
    headers: Record<string, string>,
  ) => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...headers },
      body,
    })
    return { status: answer.status, headers: answer.headers, body: JSON.parse(await answer.text()) }
  }
  return {
    async find(path) {
      const answer = await ask('GET', path)
      return answer.status === 404 ? null : accept('GET', path, answer).body
    },
    upload: async (path, bytes, contentType) =>
      accept('POST', path, await send('POST', path, bytes, { 'content-type': contentType })).body,
    call: async (method, path, body, headers) => accept(method, path, await ask(method, path, body, headers)),
  }
}

function accept<Body>(method: string, path: string, answer: ApiAnswer<Body & Problem>): ApiAnswer<Body> {
  if (answer.status < 400) return answer
  const { code, detail } = answer.body
  throw new UpError(`${method} ${path} was refused with ${answer.status} ${code ?? ''}: ${detail ?? ''}.`)
}
