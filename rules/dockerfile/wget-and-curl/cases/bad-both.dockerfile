# want "Both wget and curl"
FROM alpine:3.22
RUN apk add --no-cache wget
RUN curl -fsS https://example.com
