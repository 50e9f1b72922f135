FROM alpine:3.22 AS base
LABEL org.opencontainers.image.source="https://example.com/x" a=b
FROM base
CMD ["/app"]
