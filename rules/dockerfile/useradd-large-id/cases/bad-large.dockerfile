FROM debian:12
# want "useradd -m -u 1000650000 app"
RUN useradd -m -u 1000650000 app
