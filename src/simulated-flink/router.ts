/** Finds the route of a request by its segments: a literal wins over a parameter, as in Flink's router. */
import type { Dialect } from './dialect.ts'
import { badParameter } from './reply.ts'
import { ROUTES, type RouteName } from './routes.ts'

export type Match = { name: RouteName; params: Record<string, string> }

type Node = {
  literals: Map<string, Node>
  parameter: { name: string; node: Node } | null
  routes: Map<string, RouteName>
}

const newNode = (): Node => ({ literals: new Map(), parameter: null, routes: new Map() })

export function createRouter(dialect: Dialect): (method: string, path: string) => Match | null {
  const root = newNode()
  for (const name of routeNames()) {
    const route = ROUTES[name]
    if (!('since' in route) || route.since?.(dialect) !== false) {
      grow(root, route.path.split('/').slice(1)).routes.set(route.method, name)
    }
  }
  return (method, path) => {
    const segments = path.split('/').slice(1)
    if (segments[0] === 'v1') segments.shift()
    const params: Record<string, string> = {}
    const name = descend(root, segments, params)?.routes.get(method)
    return name === undefined ? null : { name, params: checked(params) }
  }
}

const isRouteName = (name: string): name is RouteName => name in ROUTES
const routeNames = (): RouteName[] => Object.keys(ROUTES).filter(isRouteName)

function grow(node: Node, segments: readonly string[]): Node {
  let at = node
  for (const segment of segments) {
    if (segment.startsWith(':')) {
      at.parameter ??= { name: segment.slice(1), node: newNode() }
      at = at.parameter.node
    } else {
      const next = at.literals.get(segment) ?? newNode()
      at.literals.set(segment, next)
      at = next
    }
  }
  return at
}

function descend(node: Node, segments: readonly string[], params: Record<string, string>): Node | null {
  let at = node
  for (const segment of segments) {
    const literal = at.literals.get(segment)
    if (literal !== undefined) {
      at = literal
    } else if (at.parameter !== null && segment !== '') {
      params[at.parameter.name] = decode(segment)
      at = at.parameter.node
    } else return null
  }
  return at
}

const decode = (segment: string): string => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

const PATTERNS: Readonly<Record<string, RegExp>> = {
  jobid: /^[0-9a-f]{32}$/i,
  triggerid: /^[0-9a-f]{32}$/i,
  checkpointid: /^\d+$/,
}

function checked(params: Record<string, string>): Record<string, string> {
  for (const [name, value] of Object.entries(params)) {
    const pattern = PATTERNS[name]
    if (pattern === undefined) continue
    if (!pattern.test(value)) throw badParameter('path', name, value)
    params[name] = value.toLowerCase()
  }
  return params
}
