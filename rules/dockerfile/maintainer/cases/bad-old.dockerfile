FROM alpine:3.22
# want "MAINTAINER is deprecated"
MAINTAINER team@example.com
