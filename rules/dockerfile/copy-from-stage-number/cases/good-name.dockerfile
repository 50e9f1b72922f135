FROM alpine:3.22 AS v1
FROM alpine:3.22
COPY --from=v1 /x /x
