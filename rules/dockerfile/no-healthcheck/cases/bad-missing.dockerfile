FROM alpine:3.22 AS build
HEALTHCHECK CMD ["/build"]
# want "No HEALTHCHECK"
FROM alpine:3.22
ONBUILD HEALTHCHECK CMD ["/app"]
