FROM debian:12
RUN apt-get update && apt-get install -y --no-install-recommends curl
RUN apt-get install -y -o APT::Install-Recommends=false git
RUN echo 'APT::Install-Recommends "0";' > /etc/apt/apt.conf.d/99small
RUN apt-get install -y make
