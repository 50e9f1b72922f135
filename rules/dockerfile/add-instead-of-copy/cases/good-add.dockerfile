FROM alpine:3.22
ADD rootfs.tar.xz /
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://example.com/a /a
ADD git@github.com:example/app.git#v1 /src
COPY src /src
