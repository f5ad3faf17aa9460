import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSecrets } from '../../src/storage/secrets.ts'

let secretsDir: string
const namespaces = () => ['a', 'a-b', 'default']
const env = {
  TIDEMARK_SECRET_A_KEY: 'of a',
  TIDEMARK_SECRET_A_B_KEY: 'of a-b',
  TIDEMARK_SECRET_DEFAULT_EMPTY: '',
  DATABASE_URL: 'postgres://user:password@host/db',
  AWS_SECRET_ACCESS_KEY: 'host credentials',
}

beforeAll(async () => {
  secretsDir = await mkdtemp(join(tmpdir(), 'tidemark-secrets-'))
  for (const folder of ['a', 'a-b', 'default/..2026_01', 'default/nested']) {
    await mkdir(join(secretsDir, folder), { recursive: true })
  }
  await writeFile(join(secretsDir, 'a/key'), 'of a\n')
  await writeFile(join(secretsDir, 'a-b/key'), 'of a-b')
  await writeFile(join(secretsDir, 'outside'), 'of the installation')
  await writeFile(join(secretsDir, 'default/..2026_01/mounted'), 'two lines\nkept\r\n')
  await symlink('..2026_01', join(secretsDir, 'default/..data'))
  await symlink('..data/mounted', join(secretsDir, 'default/mounted'))
  await symlink('../a/key', join(secretsDir, 'default/stolen'))
  await symlink('/etc/hostname', join(secretsDir, 'default/host'))
  await symlink('a', join(secretsDir, 'linked'))
  await writeFile(join(secretsDir, 'default/empty'), '\n')
  await writeFile(join(secretsDir, 'default/large'), 'x'.repeat(64 * 1024 + 1))
  await writeFile(join(secretsDir, 'default/nested/key'), 'nested')
})
afterAll(() => rm(secretsDir, { recursive: true, force: true }))

const secrets = () => createSecrets({ env, secretsDir, namespaces })

describe('a variable', () => {
  it('is read when it bears the name of its namespace', async () => {
    await expect(secrets().read('a', { env: 'TIDEMARK_SECRET_A_KEY' })).resolves.toBe('of a')
    await expect(secrets().read('a-b', { env: 'TIDEMARK_SECRET_A_B_KEY' })).resolves.toBe('of a-b')
  })

  it('belongs to the namespace with the longest name that fits', async () => {
    await expect(secrets().read('a', { env: 'TIDEMARK_SECRET_A_B_KEY' })).rejects.toMatchObject({
      code: 'SECRET_REFERENCE_INVALID',
    })
  })

  it.each([
    'DATABASE_URL',
    'AWS_SECRET_ACCESS_KEY',
    'TIDEMARK_SECRET_',
    'TIDEMARK_SECRET_A',
    'TIDEMARK_SECRET_A_',
    'TIDEMARK_SECRET_DEFAULT_KEY',
    'tidemark_secret_a_key',
    'TIDEMARK_SECRET_A_KEY\n',
    '__proto__',
    '',
  ])('named %j cannot be named by another namespace', async (name) => {
    await expect(secrets().read('a', { env: name })).rejects.toMatchObject({
      code: 'SECRET_REFERENCE_INVALID',
    })
  })

  it('is missing when unset or empty', async () => {
    for (const name of ['TIDEMARK_SECRET_DEFAULT_OTHER', 'TIDEMARK_SECRET_DEFAULT_EMPTY']) {
      await expect(secrets().read('default', { env: name })).rejects.toMatchObject({ code: 'SECRET_MISSING' })
    }
  })
})

describe('a file', () => {
  it('is read without its last line break', async () => {
    await expect(secrets().read('a', { file: 'key' })).resolves.toBe('of a')
    await expect(secrets().read('a-b', { file: 'key' })).resolves.toBe('of a-b')
    await expect(secrets().read('default', { file: 'nested/key' })).resolves.toBe('nested')
  })

  it('may be a link that stays in the folder, as mounted secrets are', async () => {
    await expect(secrets().read('default', { file: 'mounted' })).resolves.toBe('two lines\nkept')
  })

  it.each([
    '../a/key',
    '../outside',
    'nested/../../a/key',
    './nested/key',
    '..data/mounted',
    '/etc/hostname',
    'nested//key',
    'nested/',
    'a\\b',
    'a\u0000b',
    'stolen',
    'host',
    'nested',
    'large',
    '',
  ])('named %j is refused', async (name) => {
    await expect(secrets().read('default', { file: name })).rejects.toMatchObject({
      code: 'SECRET_REFERENCE_INVALID',
    })
  })

  it('is missing when it does not exist or is empty', async () => {
    for (const name of ['nothing', 'empty', 'mounted/below']) {
      await expect(secrets().read('default', { file: name })).rejects.toMatchObject({
        code: 'SECRET_MISSING',
      })
    }
  })

  it('cannot be reached through a namespace folder that is another one', async () => {
    await expect(secrets().read('linked', { file: 'key' })).rejects.toMatchObject({
      code: 'SECRET_REFERENCE_INVALID',
    })
  })

  it('is refused when the installation has no secrets directory', async () => {
    const none = createSecrets({ env, secretsDir: null, namespaces })
    await expect(none.read('a', { file: 'key' })).rejects.toMatchObject({ code: 'SECRET_REFERENCE_INVALID' })
  })
})

it('refuses a namespace that is not a name and a reference that is two', async () => {
  for (const namespace of ['', '..', 'a/b', 'A', 'a_b', '.']) {
    await expect(secrets().read(namespace, { file: 'key' })).rejects.toMatchObject({
      code: 'SECRET_REFERENCE_INVALID',
    })
  }
  const both = { env: 'TIDEMARK_SECRET_A_KEY', file: 'key' }
  await expect(secrets().read('a', both)).rejects.toMatchObject({ code: 'SECRET_REFERENCE_INVALID' })
})

it('never tells a value or a path in its refusals', async () => {
  for (const file of ['stolen', 'host', 'nothing', 'large']) {
    const refusal = await secrets()
      .read('default', { file })
      .catch((error: Error) => error.message)
    expect(refusal).not.toContain(secretsDir)
    expect(refusal).not.toContain('of a')
  }
})
