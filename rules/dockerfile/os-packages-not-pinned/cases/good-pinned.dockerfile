FROM debian:12
RUN apt-get update && apt-get install -y -t bookworm-backports --no-install-recommends curl=7.88.1-10+deb12u8 "git=1:2.39.*" $EXTRA ./local.deb
RUN apk add --no-cache --virtual .build curl=8.9.1-r1 make~4
RUN dnf install -y curl-8.6.0-7.el9 @development && yum install -y https://example.com/a.rpm
