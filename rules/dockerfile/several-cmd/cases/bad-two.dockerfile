FROM alpine:3.22
# want "CMD more than once in a stage"
CMD ["/a"]
RUN true
CMD ["/b"]
