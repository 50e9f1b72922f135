FROM alpine:3.22 AS build
# want "flags.from is Build"
COPY --from=Build /a /b
FROM alpine:3.22
# want "flags.from is 1"
COPY --from=1 /a /b
