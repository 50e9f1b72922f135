FROM alpine:3.22
COPY a b /c/
COPY a b .
COPY a /b
COPY a b $DIR
