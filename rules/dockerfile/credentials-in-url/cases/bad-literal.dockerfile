FROM debian:12
# want "git clone https://***@example.com/x.git"
RUN git clone https://me:t0ken@example.com/x.git
# want "DATABASE_URL=postgres://***@db/x"
ENV DATABASE_URL=postgres://app:hunter2@db/x
# want "https://***@pypi.example"
ARG PIP_INDEX_URL=https://ci:hunter2@pypi.example/simple
# want "ADD https://***@example.com"
ADD https://ci:hunter2@example.com/a.tgz /a.tgz
