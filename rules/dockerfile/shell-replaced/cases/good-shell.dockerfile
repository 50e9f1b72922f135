FROM debian:12
SHELL ["/bin/bash", "-c"]
RUN ln -s /bin/sh /bin/ksh
