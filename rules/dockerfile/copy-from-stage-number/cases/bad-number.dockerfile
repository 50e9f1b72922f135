FROM alpine:3.22
FROM alpine:3.22
# want "flags.from is 0"
COPY --from=0 /x /x
