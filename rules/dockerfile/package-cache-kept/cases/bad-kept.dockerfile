FROM debian:12
# want "Package cache left in the layer"
RUN apt-get update && apt-get install -y curl
# want "apk add curl"
RUN apk add curl
# want "microdnf install"
RUN microdnf install -y curl
# want "pip3 install flask"
RUN pip3 install flask
RUN rm -rf /var/lib/apt/lists/* /root/.cache
