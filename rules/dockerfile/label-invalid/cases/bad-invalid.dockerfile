FROM alpine:3.22
# want "[\"com.docker.x\"]"
LABEL com.docker.x=1 a=b
# want "org.opencontainers.image.source"
LABEL org.opencontainers.image.source=example.com/x
# want "org.opencontainers.image.created"
LABEL org.opencontainers.image.created=yesterday
# want "empty"
LABEL empty=""
