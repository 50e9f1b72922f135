FROM alpine:3.22 AS build
LABEL org.opencontainers.image.source=https://example.com/x
# want "org.opencontainers.image.source"
FROM alpine:3.22
LABEL a=b
