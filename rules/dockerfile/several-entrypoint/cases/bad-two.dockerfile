FROM alpine:3.22
# want "ENTRYPOINT more than once in a stage"
ENTRYPOINT ["/a"]
RUN true
ENTRYPOINT ["/b"]
