FROM golang:1.26 AS build
RUN go build -o /app .
FROM gcr.io/distroless/static:nonroot AS runtime
FROM runtime
COPY --from=build /app /app
