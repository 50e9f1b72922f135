FROM alpine:3.22 AS build
# want "is build"
FROM debian:12 AS Build
# want "is scratch"
FROM alpine:3.22 AS scratch
