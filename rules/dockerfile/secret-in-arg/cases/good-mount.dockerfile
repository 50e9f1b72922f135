FROM node:22
ARG TOKEN_PATH=/run/secrets/npm
ARG ENABLE_TOKEN=true VERSION=1
RUN --mount=type=secret,id=npm_token npm ci
