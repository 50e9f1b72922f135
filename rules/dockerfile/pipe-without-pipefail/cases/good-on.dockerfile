FROM debian:12 AS one
RUN echo y | cat && yes | apt-get update || true
RUN set -eo pipefail; curl -f https://example.com | tar xz
RUN ["sh", "-c", "true"]
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN curl -f https://example.com | tar xz
FROM one
RUN curl -f https://example.com | tar xz
