# want "platform is linux/amd64"
FROM --platform=linux/amd64 alpine:3.22
