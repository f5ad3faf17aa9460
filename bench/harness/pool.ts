import { Pool } from 'pg'

/** Connections that the end of the server may break: it is stopped right after the pool. */
export function openPool(connectionString: string, max: number): Pool {
  const pool = new Pool({ connectionString, max })
  pool.on('error', () => undefined)
  return pool
}
