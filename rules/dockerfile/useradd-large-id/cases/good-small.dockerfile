FROM debian:12
RUN useradd -u 10001 app && useradd -lu 1000650000 app2 && useradd --no-log-init -u 1000650000 app3
