FROM alpine:3.22
# want "CMD /app --flag"
CMD /app --flag
# want "ENTRYPOINT ['/app']"
ENTRYPOINT ['/app']
