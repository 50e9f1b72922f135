FROM debian:12
# want "apt-get install -y curl=7.* git"
RUN apt-get update && apt-get install -y curl=7.* git
# want "apk add --no-cache -t .deps curl"
RUN apk add --no-cache -t .deps curl
# want "dnf -y install curl"
RUN dnf -y install curl
