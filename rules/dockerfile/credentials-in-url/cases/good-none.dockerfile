FROM debian:12
RUN git clone https://git@example.com/x.git && git clone ssh://git@example.com:22/x.git && curl https://example.com:8443/@a
RUN --mount=type=secret,id=t git clone "https://me:$(cat /run/secrets/t)@example.com/x.git"
ENV DATABASE_URL=postgres://db:5432/x OTHER=http://$USER:$PASSWORD@example.com
