FROM debian:12
# want "curl | tar"
RUN curl -f https://example.com | tar xz
