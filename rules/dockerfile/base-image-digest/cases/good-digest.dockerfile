FROM debian:12@sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1 AS base
FROM base
FROM scratch
FROM ${UNKNOWN}
