FROM debian:12
# want "apt-get install --no-install-recommends curl"
RUN apt-get update && apt-get install --no-install-recommends curl
# want "yum install curl"
RUN yum install curl
