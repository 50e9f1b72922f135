FROM node:22
USER node
RUN npm ci
# want "Image runs as root: stages[0].user is root"
USER root
CMD ["node", "server.js"]
