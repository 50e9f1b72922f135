FROM alpine:3.22
# want "COPY a b /c"
COPY a b /c
