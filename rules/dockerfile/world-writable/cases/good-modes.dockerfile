FROM debian:12
COPY --chmod=755 a /a
RUN chmod 1777 /tmp && chmod -R 0755 /app && chmod u+w,o-w /x && chmod +x /run.sh && install -m 0644 a /b
RUN mkdir /data && chmod g=u /data && echo chmod 777
