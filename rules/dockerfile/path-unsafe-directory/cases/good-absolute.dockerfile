FROM alpine:3.22
ENV PATH=/opt/app/bin:$PATH
ENV PATH="${PATH}:/root/.local/bin" X=.
