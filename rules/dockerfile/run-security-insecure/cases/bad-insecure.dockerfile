FROM debian:12
# want "flags.security is insecure"
RUN --security=insecure make
