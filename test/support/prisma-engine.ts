/**
 * Prisma's schema engine compiled to WASM, over adapter-pg: it tells what SQL would bring a database to a schema. Only the
 * drift test uses it; Prisma's own CLI would download a native engine for the same answer.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { PrismaPg } from '@prisma/adapter-pg'
import {
  bindMigrationAwareSqlAdapterFactory,
  ColumnTypeEnum,
  type SqlDriverAdapter,
} from '@prisma/driver-adapter-utils'
import * as engine from '@prisma/schema-engine-wasm/schema_engine_bg'

/** The little of it that is needed; it belongs to the dom library, which this project does without. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: object) => { exports: { __wbindgen_start(): void } }
}

/** SQL that would bring the database to the schema; `differs` is false and the script empty when they agree. */
export async function findDrift(
  databaseUrl: string,
  schema: string,
): Promise<{ differs: boolean; script: string }> {
  const { schemaEngine, close } = await openEngine(databaseUrl, schema)
  const files = [{ path: 'schema.prisma', content: schema }]
  try {
    const { exitCode, stdout } = await schemaEngine.diff({
      from: { tag: 'schemaDatasource', files, configDir: '.' },
      to: { tag: 'schemaDatamodel', files },
      script: true,
      exitCode: true,
      filters: { externalTables: [], externalEnums: [] },
    })
    return { differs: exitCode !== 0, script: stdout ?? '' }
  } finally {
    await close()
  }
}

async function openEngine(databaseUrl: string, schema: string) {
  loadOnce()
  const opened: SqlDriverAdapter[] = []
  const factory = new PrismaPg({ connectionString: databaseUrl, max: 1 })
  const connect = factory.connect.bind(factory)
  factory.connect = async () => {
    const connection = await connect()
    readInternalChars(connection)
    opened.push(connection)
    return connection
  }
  const schemaEngine = await engine.SchemaEngine.new(
    { datamodels: [['schema.prisma', schema]] },
    () => undefined, // its log
    bindMigrationAwareSqlAdapterFactory(factory),
  )
  return {
    schemaEngine,
    /** The engine's session lock lives as long as its connections: the next one would wait 10 s for them and fail. */
    async close() {
      schemaEngine.free()
      await Promise.all(opened.map((connection) => connection.dispose()))
    },
  }
}

let loaded = false

function loadOnce(): void {
  if (loaded) return
  loaded = true
  const script = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg')
  const bytes = readFileSync(script.replace(/\.js$/, '.wasm'))
  // A panic inside the engine reports its message here.
  Object.assign(globalThis, { PRISMA_WASM_PANIC_REGISTRY: { set_message: console.error } })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    './schema_engine_bg.js': engine,
  })
  engine.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
}

const CHAR_OID = 18
const TEXT_OID = 25
type Fields = { name: string; dataTypeID: number }[]

/** adapter-pg refuses Postgres' internal "char" type, which the engine selects from pg_constraint: it reads as text here. */
function readInternalChars(connection: SqlDriverAdapter): void {
  const charColumns = new Set<string>()
  const queryRaw = connection.queryRaw.bind(connection)
  wrapPerformIO(connection, (fields) => {
    for (const field of fields.filter(({ dataTypeID }) => dataTypeID === CHAR_OID)) {
      charColumns.add(field.name)
      field.dataTypeID = TEXT_OID
    }
  })
  connection.queryRaw = async (query) => {
    const result = await queryRaw(query)
    const columnTypes = result.columnTypes.map((type, at) =>
      charColumns.has(result.columnNames[at] ?? '') ? ColumnTypeEnum.Character : type,
    )
    return { ...result, columnTypes }
  }
}

/** `performIO` is adapter-pg's own affair and in no type; a version without it must be noticed here. */
function wrapPerformIO(connection: SqlDriverAdapter, see: (fields: Fields) => void): void {
  const performIO: unknown = Reflect.get(connection, 'performIO')
  if (typeof performIO !== 'function') throw new TypeError('adapter-pg has no performIO any more')
  Reflect.set(connection, 'performIO', async (query: unknown) => {
    const result: { fields: Fields } = await Reflect.apply(performIO, connection, [query])
    see(result.fields)
    return result
  })
}
