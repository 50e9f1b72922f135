FROM debian:12
RUN echo "never use sudo" && grep sudo /etc/group || true
RUN apt-get update # sudo apt-get upgrade
