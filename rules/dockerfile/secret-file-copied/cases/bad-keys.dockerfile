FROM node:22
# want "[\".npmrc\"]"
COPY package.json .npmrc /app/
# want "keys/id_ed25519"
ADD --chmod=600 keys/id_ed25519 /root/.ssh/
# want "conf/.env.production"
COPY ["conf/.env.production", "/app/.env"]
FROM alpine:3.22
# want "/root/.aws/credentials"
COPY --from=0 /root/.aws/credentials /root/.aws/
# want "certs/tls.key"
ONBUILD COPY certs/tls.key /etc/tls/
