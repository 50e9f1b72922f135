FROM node:22
RUN --mount=type=secret,id=t,mode=0400,uid=1000 npm ci
RUN --mount=type=cache,target=/c,mode=0777 npm ci
