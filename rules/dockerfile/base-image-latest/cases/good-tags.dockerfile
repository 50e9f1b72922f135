ARG VERSION=12.7
FROM debian:${VERSION}-slim AS base
FROM base AS next
FROM registry.example:5000/team/app:1.4
FROM alpine@sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1
FROM ${UNKNOWN}
FROM scratch
