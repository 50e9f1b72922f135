FROM alpine:3.22
# want "COPY . /"
COPY . /
