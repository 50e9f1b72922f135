FROM alpine:3.22
# want "keys.PATH is /tmp/bin:$PATH"
ENV PATH=/tmp/bin:$PATH
# want "node_modules/.bin"
ENV PATH=$PATH:node_modules/.bin
# want "keys.PATH is /a:"
ENV PATH=/a:
