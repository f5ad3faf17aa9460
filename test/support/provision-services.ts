/** vitest globalSetup: real Postgres, Redis and S3 for every test file, by URL in the environment. */
import { provisionServices, type ServiceName } from '../../dev/services/provision.ts'

export default async function setup(): Promise<() => Promise<void>> {
  const need: ServiceName[] = ['postgres', 'redis', 's3']
  const services = await provisionServices({ need })
  Object.assign(process.env, services.env)
  return services.stop
}
