FROM alpine:3.22
WORKDIR /etc/nginx
WORKDIR /usr/src/app
WORKDIR /binary
WORKDIR /
