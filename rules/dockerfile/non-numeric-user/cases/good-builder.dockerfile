FROM node:22 AS build
USER node
FROM alpine:3.22
USER 1000
