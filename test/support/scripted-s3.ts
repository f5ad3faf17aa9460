/** An S3 server that answers what a test says, and remembers what it was asked. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type S3Request = {
  method: string
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  body: string
}
/** Answers one request; leaving the response open makes the client wait. */
export type S3Script = (request: S3Request, response: ServerResponse) => void

export type ScriptedS3 = {
  url: string
  requests: S3Request[]
  answerWith(script: S3Script): void
  close(): Promise<void>
}

export async function startScriptedS3(): Promise<ScriptedS3> {
  const requests: S3Request[] = []
  let script: S3Script = (_request, response) => response.writeHead(500).end()
  const server = createServer((message, response) => {
    void readRequest(message).then((request) => {
      requests.push(request)
      script(request, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    answerWith: (next) => {
      script = next
      requests.length = 0
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function readRequest(message: IncomingMessage): Promise<S3Request> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk)
  const url = new URL(message.url ?? '/', 'http://s3')
  return {
    method: message.method ?? '',
    path: message.url?.split('?')[0] ?? '', // as sent: URL would resolve `..`
    query: url.searchParams,
    headers: message.headers,
    body: Buffer.concat(chunks).toString(),
  }
}

export const sendXml = (response: ServerResponse, status: number, xml: string): void => {
  response.writeHead(status, { 'content-type': 'application/xml' }).end(`<?xml version="1.0"?>${xml}`)
}

export const sendError = (response: ServerResponse, status: number, code: string): void =>
  sendXml(response, status, `<Error><Code>${code}</Code><Message>scripted</Message></Error>`)

export const keysOf = (request: S3Request): string[] =>
  [...request.body.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key ?? '')

export const sendDeleted = (response: ServerResponse, keys: readonly string[], errors = ''): void =>
  sendXml(
    response,
    200,
    `<DeleteResult>${keys.map((key) => `<Deleted><Key>${key}</Key></Deleted>`).join('')}${errors}</DeleteResult>`,
  )

export const sendListing = (response: ServerResponse, keys: readonly string[]): void =>
  sendXml(
    response,
    200,
    `<ListBucketResult><IsTruncated>false</IsTruncated>${keys
      .map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`)
      .join('')}</ListBucketResult>`,
  )
