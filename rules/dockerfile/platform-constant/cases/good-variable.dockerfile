FROM --platform=$BUILDPLATFORM golang:1.26 AS build
FROM alpine:3.22
