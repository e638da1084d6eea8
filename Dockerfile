# syntax=docker/dockerfile:1
# The demo: the web server, or with another command a worker of its queue.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY libs/session/package.json libs/session/
COPY bench/package.json bench/
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json nest-cli.json ./
COPY scripts scripts
COPY libs libs
COPY src src
COPY docs/troubleshooting.md docs/
RUN npm run build

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json ./
COPY libs/session/package.json libs/session/
COPY bench/package.json bench/
# Without the embedded PostgreSQL, which is an optional package.
RUN npm ci --omit=dev --omit=optional --workspace=nestjs-mikro-session --include-workspace-root --no-audit --no-fund \
    && npm cache clean --force
COPY --from=build /app/libs/session/dist libs/session/dist
COPY --from=build /app/libs/session/page libs/session/page
COPY --from=build /app/dist dist
USER node
ENV HOST=0.0.0.0 PORT=3000
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["node", "--eval", "fetch(`http://127.0.0.1:${process.env.PORT}/health`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Without a shell or npm between, so that SIGTERM reaches the application.
CMD ["node", "dist/main.js"]
