FROM node:22
# want "stages[0].user is node"
USER node
