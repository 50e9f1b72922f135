FROM golang:1.26 AS build
RUN apt-get update && apt-get install -y make
FROM debian:12
RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*
RUN apk add --no-cache curl
RUN dnf install -y curl && dnf clean all
RUN pip install --no-cache-dir flask
RUN --mount=type=cache,target=/root/.cache/pip pip install flask
ENV PIP_NO_CACHE_DIR=1
RUN python3 -m pip install requests
