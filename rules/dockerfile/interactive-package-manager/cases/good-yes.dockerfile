FROM debian:12
RUN apt-get update && apt-get -qqy install curl && yes | apt-get install git
RUN dnf install -y curl
RUN zypper -n install curl
RUN apk add curl
