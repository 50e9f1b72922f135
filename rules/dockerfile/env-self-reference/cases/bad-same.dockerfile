FROM alpine:3.22
# want "ENV A=/a B=${A}/b"
ENV A=/a B=${A}/b
