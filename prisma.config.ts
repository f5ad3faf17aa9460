import { defineConfig } from 'prisma/config'

// Prisma's CLI wants to download a native schema engine even for `generate`. We migrate with our own runner
// (src/db/migrate.ts), so any executable will do; see docs/decisions/0002-migrations.md.
process.env['PRISMA_SCHEMA_ENGINE_BINARY'] ??= '/bin/true'

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
})
