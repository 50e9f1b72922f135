FROM debian:12 AS build
FROM scratch AS export
COPY --from=build /out/app /
FROM debian:12
COPY --from=export / /usr/bin/
