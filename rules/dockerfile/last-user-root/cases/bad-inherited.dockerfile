FROM alpine:3.22 AS base
# want "stages[1].user is root"
USER root
FROM base
CMD ["/app"]
