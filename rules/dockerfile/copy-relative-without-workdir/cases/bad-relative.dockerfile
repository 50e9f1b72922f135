FROM node:22
# want "COPY package.json ./"
COPY package.json ./
WORKDIR /app
COPY src ./
