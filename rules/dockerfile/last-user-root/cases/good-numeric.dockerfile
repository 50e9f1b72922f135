FROM debian:12
USER root
RUN apt-get update
USER 65532:65532
CMD ["/app"]
