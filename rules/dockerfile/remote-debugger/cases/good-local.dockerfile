FROM node:22 AS dev
CMD ["node", "--inspect=0.0.0.0:9229", "x.js"]
FROM node:22
ENV JAVA_TOOL_OPTIONS=-agentlib:jdwp=transport=dt_socket,server=y,address=127.0.0.1:5005
CMD ["node", "--inspect=127.0.0.1", "x.js"]
