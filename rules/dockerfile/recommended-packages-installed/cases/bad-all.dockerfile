FROM debian:12
# want "apt-get install -y curl"
RUN apt-get update && apt-get install -y curl
