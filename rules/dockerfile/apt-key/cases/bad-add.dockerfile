FROM debian:12
# want "apt-key add -"
RUN curl -fsSL https://example.com/key.asc | apt-key add -
# want "apt-key adv"
RUN apt-key adv --keyserver keyserver.example --recv-keys 0123456789ABCDEF
