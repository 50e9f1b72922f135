FROM debian:12
RUN apt-get update && apt-get install -y curl
RUN yum -y update
RUN apk update && ./install.sh
