FROM debian:12 AS build
FROM scratch
# want "Whole file system of a stage copied"
COPY --from=build / /
