FROM node:22
# want "[\"NPM_TOKEN\"]"
ARG NPM_TOKEN
# want "db-password"
ONBUILD ARG db-password=hunter2
