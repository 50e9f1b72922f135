FROM alpine:3.22
WORKDIR /src
RUN make && (cd sub && make)
RUN cd "$(mktemp -d)" && true
