FROM node:22
RUN npm ci && npm install -g pnpm@9.1.0 && npm install express@4.19.2
RUN yarn install --frozen-lockfile && pnpm install --frozen-lockfile --prod && composer install && yarn build
