FROM debian:12
# want "chmod u+s /app"
RUN cp /bin/ping /app && chmod u+s /app
# want "chmod 4755 /app"
RUN chmod 4755 /app
# want "--chmod=6755"
COPY --chmod=6755 app /app
