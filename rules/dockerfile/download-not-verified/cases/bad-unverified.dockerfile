FROM debian:12
# want "curl -fsSLo /a.tgz https://example.com/a.tgz"
RUN curl -fsSLo /a.tgz https://example.com/a.tgz && tar xf /a.tgz
# want "wget -q https://example.com/b"
RUN wget -q https://example.com/b && chmod +x b
# want "tar xz -C /opt"
RUN curl -fsSL https://example.com/c.tgz | tar xz -C /opt
