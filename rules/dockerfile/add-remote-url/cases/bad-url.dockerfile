ARG V=1
FROM alpine:3.22
ARG V
# want "https://example.com/1/a.tgz"
ADD https://example.com/${V}/a.tgz /a.tgz
# want "git@github.com:example/app.git#main"
ADD git@github.com:example/app.git#main /src
