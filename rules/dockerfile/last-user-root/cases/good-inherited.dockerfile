# The user comes with the stage that is built on; the last stage of the build may be root.
FROM golang:1.26 AS build
USER root
RUN go build -o /app .
FROM alpine:3.22 AS base
USER 10001
FROM base
COPY --from=build /app /app
