FROM debian:12
ARG T
RUN app --token="$T" --password-file=/run/secrets/p --token $(cat /run/secrets/t) --secret-name x
RUN --mount=type=secret,id=t TOKEN="$(cat /run/secrets/t)" npm ci && USE_TOKEN=true npm ci
RUN curl -H "Authorization: Bearer $T" https://example.com && docker login --password-stdin
CMD ["/app", "--token-file=/run/secrets/token"]
