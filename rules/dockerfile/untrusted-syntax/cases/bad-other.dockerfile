# syntax=someone/frontend:latest
# want "syntax is someone/frontend:latest"
FROM alpine:3.22
