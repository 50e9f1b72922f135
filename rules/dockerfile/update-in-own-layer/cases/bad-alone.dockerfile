FROM debian:12
# want "RUN apt-get -qq update"
RUN apt-get -qq update
RUN apt-get install -y curl
# want "apk update"
RUN apk update && true
