FROM node:22
# want "npm install --production"
RUN npm install --production
# want "[\"yarn\"]"
RUN yarn && yarn build
# want "pnpm i"
RUN pnpm i
# want "composer update"
RUN composer update
