FROM debian:12
RUN apt-get update && apt-get install -y curl && echo "deb [signed-by=/k.gpg] https://example.com x main" > /etc/apt/sources.list.d/x.list
RUN rpm --import https://example.com/key && echo gpgcheck=1 >> /etc/yum.repos.d/x.repo
