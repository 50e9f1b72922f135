FROM alpine:3.22 AS a
FROM alpine:3.22 AS b
FROM alpine:3.22
FROM a
COPY --from=B /x /x
RUN --mount=type=bind,from=2,target=/t ls /t
