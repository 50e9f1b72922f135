FROM alpine:3.22
ARG DIR=app
# want "[\"app/src\"]"
WORKDIR ${DIR}/src
