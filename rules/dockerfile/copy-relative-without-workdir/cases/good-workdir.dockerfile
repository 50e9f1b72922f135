FROM node:22 AS base
WORKDIR /app
COPY package.json ./
FROM base
COPY src src/
FROM alpine:3.22
COPY a /b
