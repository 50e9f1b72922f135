FROM alpine:3.22 AS build
FROM alpine:3.22
COPY --from=build /a /a
COPY --from=0 /a /b
COPY --from=registry.example/tools:1.2 /t /t
COPY --from=busybox:1.36 /bin/busybox /bin/
