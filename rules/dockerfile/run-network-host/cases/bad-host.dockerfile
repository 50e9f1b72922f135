FROM debian:12
# want "flags.network is host"
RUN --network=host make
