FROM alpine:3.22
# want "HEALTHCHECK more than once in a stage"
HEALTHCHECK CMD ["/a"]
RUN true
HEALTHCHECK CMD ["/b"]
