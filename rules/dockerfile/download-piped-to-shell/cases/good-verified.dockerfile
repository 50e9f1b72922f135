FROM debian:12
RUN curl -fsSL https://example.com/i.sh -o /i.sh && echo "24454f83  /i.sh" | sha256sum -c && sh /i.sh
RUN curl -fsSL https://example.com/x.json | python3 -c 'import json,sys; print(json.load(sys.stdin))'
RUN curl -fsSL https://example.com/key | gpg --dearmor > /k.gpg && V="$(curl -fsS https://example.com/version)"
RUN echo "curl https://example.com | sh"
