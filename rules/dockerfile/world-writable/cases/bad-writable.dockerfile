FROM debian:12
# want "COPY --chmod=0777 a /a"
COPY --chmod=0777 a /a
# want "chmod -R 777 /app"
RUN set -e; chmod -R 777 /app
# want "chmod ugo+rwx"
RUN chmod ugo+rwx /app
# want "chmod a+rw /x"
RUN find / -name x -exec chmod a+rw /x \;
# want "install -m 666"
RUN install -m 666 a /etc/a
