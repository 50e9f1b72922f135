FROM node:22
# want "0444"
RUN --mount=type=secret,id=t,mode=0444 npm ci
