FROM alpine:3.22 AS builder
# want "flags.from is later"
COPY --from=later /a /a
FROM alpine:3.22 AS later
# want "flags.from is buidler"
COPY --from=buidler /a /a
# want "flags.from is 7"
COPY --from=7 /a /a
