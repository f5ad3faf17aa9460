/**
 * Streams `_metadata` files from S3 and prints how much memory each took at its peak beyond what the process had before, in
 * MB: `stream-metadata.ts <endpoint> <bucket> <key …>`, with `--expose-gc`. The first ones load and warm the code.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseLocation } from '../../src/domain/location.ts'
import { readMetadata } from '../../src/metadata/read-metadata.ts'
import { createObjectStores } from '../../src/storage/stores.ts'

const [endpoint = '', bucket = '', ...keys] = process.argv.slice(2)
const credentials = {
  accessKeyId: { env: 'BENCH_ACCESS_KEY' },
  secretAccessKey: { env: 'BENCH_SECRET_KEY' },
}
const stores = createObjectStores({
  secrets: { read: async (_, reference) => ('env' in reference ? (process.env[reference.env] ?? '') : '') },
  localRoots: [],
  s3Limits: { requestTimeoutMs: 60_000 },
})
const root = parseLocation(`s3://${bucket}/flink`)
const store = stores.of({
  key: 'bench',
  namespace: 'default',
  root,
  provider: 'generic',
  endpoint,
  region: 'us-east-1',
  pathStyle: true,
  credentials,
})

const readStatus = (field: 'VmRSS' | 'VmHWM') =>
  Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) /
  1024

const grown: { key: string; mb: number }[] = []
for (const key of keys) {
  globalThis.gc?.()
  writeFileSync('/proc/self/clear_refs', '5') // the peak begins anew
  const before = readStatus('VmRSS')
  const location = parseLocation(`s3://${bucket}/${key}`)
  const size = (await store.head(location))?.sizeBytes ?? 0
  const { byteLength } = await readMetadata(store.read(location), { size })
  if (byteLength !== size) throw new Error(`${byteLength} of ${size} bytes were read`)
  grown.push({ key, mb: readStatus('VmHWM') - before })
}
console.log(JSON.stringify(grown))
await stores.close()
