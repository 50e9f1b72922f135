ARG DATE
FROM alpine:3.22
ARG DATE
LABEL org.opencontainers.image.source=https://example.com/x org.opencontainers.image.created=2026-01-02T03:04:05Z
LABEL team=a com.example/x.y-z="b c" org.opencontainers.image.created=$DATE
