import { Type } from 'typebox'
import { Moment, named, nullable, oneOf, openWord } from './base.ts'

export const SystemInfo = named(
  'SystemInfo',
  Type.Object(
    {
      name: oneOf(['tidemark']),
      version: Type.String({ description: 'The release that runs.' }),
      startedAt: Moment('When this process started.'),
      queue: openWord(['redis', 'postgres'], 'What carries the work.'),
      node: Type.String({ description: 'The version of Node.' }),
      database: Type.Object({
        serverVersion: Type.String({ description: 'The version of Postgres.' }),
        migration: Type.String({ description: 'The newest migration applied.' }),
      }),
    },
    { description: 'What this installation is.' },
  ),
)

export const Readiness = named(
  'Readiness',
  Type.Object(
    {
      ready: Type.Boolean(),
      checks: Type.Array(
        Type.Object({
          name: openWord(['database', 'migrations', 'queue'], 'What was looked at.'),
          ok: Type.Boolean(),
          message: nullable(Type.String()),
        }),
      ),
    },
    { description: 'Whether this process can serve requests.' },
  ),
)

export const Liveness = named(
  'Liveness',
  Type.Object({ status: oneOf(['ok']) }, { description: 'This process runs.' }),
)
