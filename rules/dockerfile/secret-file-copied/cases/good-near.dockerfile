FROM node:22
COPY .env.example .npmrc.template id_rsa.pub public.key config.json /app/
COPY src/environment.ts server.crt ca.pem /app/
COPY app.conf /root/.npmrc
