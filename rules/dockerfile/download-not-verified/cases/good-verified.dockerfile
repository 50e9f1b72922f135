FROM debian:12
RUN curl -fsSLo /a.tgz https://example.com/a.tgz && echo "24454f83  /a.tgz" | sha256sum -c - && tar xf /a.tgz
RUN curl -fsSL https://example.com/key.asc -o /etc/apt/keyrings/x.asc && wget -qO- https://example.com | grep x
RUN curl -fsS -o /dev/null https://example.com && wget --spider https://example.com
