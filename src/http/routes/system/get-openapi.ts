import type { App } from '../../fastify-app.ts'

export const getOpenApi = (app: App) =>
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
