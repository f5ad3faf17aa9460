/** JSON in UTF-8 is the only body we read into memory; an empty one is no body, whatever its content type says. */
import type { FastifyRequest } from 'fastify'
import { DomainError } from '../domain/errors.ts'
import type { App } from './fastify-app.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

const decode = (raw: Buffer): string => {
  try {
    return utf8.decode(raw)
  } catch (cause) {
    throw new DomainError('MALFORMED_BODY', 'the body is not UTF-8', { cause })
  }
}

export const acceptJsonOnly = (app: App): void => {
  const parse = app.getDefaultJsonParser('error', 'error') // refuses `__proto__` and `constructor.prototype`
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, raw, done) => {
    if (raw.length === 0) done(null, undefined)
    else parse(request, decode(raw), done)
  })
}

const refuse = (detail: string) =>
  new DomainError('VALIDATION_FAILED', `/body: ${detail}`, { errors: [{ pointer: '/body', detail }] })

/** Runs before validation: an absent body becomes `{}` where the route says so, and is asked for where it does not. */
export const settleBody = (request: FastifyRequest): void => {
  if (request.is404) return // that there is no such route comes first
  const { config, schema } = request.routeOptions
  if (config.streamedBody === true) return
  if (request.body === undefined && config.optionalBody === true) request.body = {}
  if (schema?.body === undefined && request.body !== undefined) throw refuse('this request takes no body')
  if (schema?.body !== undefined && request.body === undefined) throw refuse('a JSON body is required')
}
