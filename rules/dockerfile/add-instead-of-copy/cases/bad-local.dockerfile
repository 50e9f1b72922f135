FROM alpine:3.22
# want "ADD where COPY is enough"
ADD src package.json /app/
# want "want COPY"
ONBUILD ADD . /app
