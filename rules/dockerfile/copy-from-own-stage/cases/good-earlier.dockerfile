FROM alpine:3.22 AS build
FROM alpine:3.22 AS run
COPY --from=build /a /a
COPY --from=0 /b /b
COPY c /c
