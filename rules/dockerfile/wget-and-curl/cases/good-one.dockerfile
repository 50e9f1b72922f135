FROM alpine:3.22 AS one
RUN wget https://example.com/a && echo curl
FROM alpine:3.22
RUN apk add --no-cache curl && curl -fsS https://example.com
