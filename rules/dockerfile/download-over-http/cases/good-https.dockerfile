FROM debian:12
RUN curl -fsS https://example.com/a && curl http://localhost:8080/ && echo http://example.com
RUN curl -fsSLO http://example.com/a && echo "24454f83  a" | sha256sum -c
RUN echo "deb http://mirror.example.com/debian bookworm main" > /etc/apt/sources.list
