/**
 * Two validators: text of path and query is read as the type its schema names, a JSON body is taken as it is. Nothing
 * unknown is ever removed in silence.
 */
import { AjvCompiler, type BuildCompilerFromPool } from '@fastify/ajv-compiler'
import { FORMATS } from './schemas/formats.ts'

const COMMON = { removeAdditional: false, allErrors: false } as const

/** Fastify hands over the whole definition `{ schema, method, url, httpPart }`, which the types of ajv-compiler do not say. */
const isText = (route: unknown): boolean =>
  typeof route === 'object' &&
  route !== null &&
  'httpPart' in route &&
  (route.httpPart === 'querystring' || route.httpPart === 'params')

export const createBuildValidator = (): BuildCompilerFromPool => {
  const compile = AjvCompiler()
  return (schemas) => {
    const validator = (customOptions: Record<string, unknown>) =>
      compile(schemas, {
        customOptions: { ...COMMON, ...customOptions },
        onCreate: (ajv) => {
          for (const [name, { accepts }] of Object.entries(FORMATS)) ajv.addFormat(name, accepts)
        },
      })
    const ofText = validator({ coerceTypes: 'array', useDefaults: true })
    const ofJson = validator({ coerceTypes: false, useDefaults: false })
    return (route) => (isText(route) ? ofText : ofJson)(route)
  }
}
