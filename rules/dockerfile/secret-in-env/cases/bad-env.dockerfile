FROM alpine:3.22
# want "[\"DB_PASSWORD\"]"
ENV MODE=prod \
    DB_PASSWORD="hunter2"
# want "githubToken"
LABEL githubToken=ghp_0123456789abcdefghijABCDEFGHIJ012345
# want "SECRET_KEY_BASE"
ONBUILD ENV SECRET_KEY_BASE 5f3759df
