FROM node:22
# want "cp /run/secrets/npmrc /root/.npmrc"
RUN --mount=type=secret,id=npmrc cp /run/secrets/npmrc /root/.npmrc && npm ci
# want "echo"
RUN --mount=type=secret,id=t echo "machine example.com password $(cat /run/secrets/t)" > /root/.netrc
# want "cat /k"
RUN --mount=type=secret,id=k,dst=/k cat /k >> /root/.ssh/id_rsa
