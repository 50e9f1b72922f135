ARG UID=0
FROM alpine:3.22
ARG UID
# want "is 0:0"
USER $UID:0
