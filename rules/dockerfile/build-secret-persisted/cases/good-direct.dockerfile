FROM node:22
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci
RUN --mount=type=secret,id=t TOKEN="$(cat /run/secrets/t)" npm ci
RUN --mount=type=secret,id=t cp /run/secrets/t /tmp/t && use /tmp/t && rm -f /tmp/t
RUN --mount=type=secret,id=t cat /run/secrets/t > /dev/null
