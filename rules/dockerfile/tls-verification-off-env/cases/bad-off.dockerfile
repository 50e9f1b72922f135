FROM node:22
# want "NODE_TLS_REJECT_UNAUTHORIZED"
ENV A=b NODE_TLS_REJECT_UNAUTHORIZED="0"
# want "npm_config_strict_ssl"
ENV npm_config_strict_ssl false
# want "GIT_SSL_NO_VERIFY"
ARG GIT_SSL_NO_VERIFY=true
