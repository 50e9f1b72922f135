FROM debian:12
RUN --security=sandbox make
RUN make
