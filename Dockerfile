# One image for every process: `serve` (the default), `worker` and `migrate`.

FROM node:20.20.2-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json prisma.config.ts ./
COPY scripts/clean-dist.mjs scripts/clean-dist.mjs
COPY prisma prisma
COPY src src
RUN npm run build

FROM node:20.20.2-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Optional ones are the embedded Postgres of `npm run up` and native accelerators.
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund

FROM node:20.20.2-bookworm-slim
ENV NODE_ENV=production \
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true \
    TIDEMARK_WORKER_PORT=9464
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
COPY prisma/migrations prisma/migrations
USER node
EXPOSE 8080 9464
# Asks whichever process runs here, the API or a worker.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "Promise.any([process.env.TIDEMARK_PORT || 8080, process.env.TIDEMARK_WORKER_PORT].map(async (port) => { if (!(await fetch('http://127.0.0.1:' + port + '/livez')).ok) throw port })).catch(() => process.exit(1))"]
# Twice the default room for young objects: an API under load spends a tenth less time collecting them (B2).
ENTRYPOINT ["node", "--max-semi-space-size=32", "dist/cli/main.js"]
CMD ["serve"]
