FROM alpine:3.22
# want "is cd /src"
RUN cd /src && make
