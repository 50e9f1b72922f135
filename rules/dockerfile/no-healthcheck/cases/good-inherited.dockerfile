FROM alpine:3.22 AS base
HEALTHCHECK CMD ["/app", "--health"]
FROM base
CMD ["/app"]
