FROM alpine:3.22
ENV A=/a
ENV B=$A/b PATH=/x:$PATH C=$AB
