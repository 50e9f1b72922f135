FROM node:22 AS dev
ENV NODE_ENV=development
FROM node:22
ENV NODE_ENV=production FLASK_DEBUG=0 DEBUG=app:*
