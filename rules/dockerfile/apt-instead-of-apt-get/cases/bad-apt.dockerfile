FROM debian:12
# want "apt update"
RUN apt update && apt install -y curl
