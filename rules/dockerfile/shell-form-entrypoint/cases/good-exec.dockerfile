FROM alpine:3.22
ENTRYPOINT ["/app"]
CMD exec /app --flag $X
