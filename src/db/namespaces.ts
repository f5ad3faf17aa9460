import { v7 } from 'uuid'
import type { NamespaceRepository } from '../ports/resources.ts'
import type { Database } from './client.ts'
import { withDomainErrors } from './errors.ts'

export const createNamespaceRepository = (db: Database): NamespaceRepository =>
  withDomainErrors({
    async ensure(name) {
      const known = await db.prisma.namespace.findUnique({ where: { name } })
      if (known) return known.id
      // Two processes may start at once: the second keeps the first one's row.
      await db.sql('insert into namespace (id, name) values ($1, $2) on conflict (name) do nothing', [
        v7(),
        name,
      ])
      return (await db.prisma.namespace.findUniqueOrThrow({ where: { name } })).id
    },
  })
