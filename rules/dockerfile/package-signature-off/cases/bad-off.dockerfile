FROM debian:12
# want "apt-get install -y --allow-unauthenticated curl"
RUN apt-get install -y --allow-unauthenticated curl
# want "apk add --allow-untrusted /x.apk"
RUN apk add --allow-untrusted /x.apk
# want "yum install -y --nogpgcheck curl"
RUN yum install -y --nogpgcheck curl
# want "deb [trusted=yes]"
RUN echo "deb [trusted=yes] https://example.com x main" > /etc/apt/sources.list.d/x.list
# want "gpgcheck=0"
RUN printf 'baseurl=https://example.com\ngpgcheck=0\n' >> /etc/yum.repos.d/x.repo
