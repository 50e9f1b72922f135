FROM node:22
# want "ENV JAVA_TOOL_OPTIONS"
ENV JAVA_TOOL_OPTIONS="-agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=*:5005"
# want "dlv"
ENTRYPOINT ["dlv", "exec", "/app", "--headless", "--listen", ":2345"]
# want "--inspect=0.0.0.0"
CMD node --inspect=0.0.0.0:9229 x.js
