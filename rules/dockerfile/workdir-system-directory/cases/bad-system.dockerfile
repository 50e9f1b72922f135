FROM alpine:3.22
# want "[\"/etc\"]"
WORKDIR /etc
# want "/usr/bin/"
WORKDIR /usr/bin/
# want "/proc/self"
WORKDIR /proc/self
