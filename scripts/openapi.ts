/** `npm run openapi`: writes openapi/openapi.json from the routes. */
import { writeFile } from 'node:fs/promises'
import { buildOpenApiDocument } from '../src/http/openapi-document.ts'

await writeFile(new URL('../openapi/openapi.json', import.meta.url), await buildOpenApiDocument())
