FROM alpine:3.22
# want "SSH port exposed"
EXPOSE 8080 22/tcp
