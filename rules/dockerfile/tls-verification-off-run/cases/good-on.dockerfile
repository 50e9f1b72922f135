FROM python:3.13
RUN curl -fsSLo k https://example.com/k && wget https://example.com
RUN npm config set strict-ssl true && git config --global http.sslVerify true
RUN apt-get -o Acquire::https::Verify-Peer=true update && composer config disable-tls false
HEALTHCHECK CMD curl -kf https://localhost:8443/
