FROM alpine:3.22 AS one
CMD ["/a"]
FROM alpine:3.22
CMD ["/a"]
ONBUILD CMD ["/b"]
