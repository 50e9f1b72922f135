FROM golang:1.26 AS build
USER 1000
RUN go build -o /app .
# want "Image sets no user"
FROM debian:12
COPY --from=build /app /app
