FROM alpine:3.22 AS a
RUN make
# want "FROM alpine:3.22 AS test"
FROM alpine:3.22 AS test
FROM alpine:3.22
COPY --from=a /x /x
