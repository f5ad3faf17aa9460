/** vitest globalSetup: the real S3 server is built before any test's time limit runs, which takes minutes on a fresh machine. */
import { provideVersityGateway } from '../../dev/services/versitygw-binary.ts'

export default async function setup(): Promise<void> {
  try {
    await provideVersityGateway()
  } catch (error) {
    if (process.env['CI'] === 'true') throw error
    console.warn(`${error instanceof Error ? error.message : error} The tests that need it will fail.`)
  }
}
