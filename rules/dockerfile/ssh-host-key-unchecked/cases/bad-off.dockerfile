FROM debian:12
# want "StrictHostKeyChecking=no"
RUN --mount=type=ssh GIT_SSH_COMMAND="ssh -o StrictHostKeyChecking=no" git clone git@example.com:x.git
# want "StrictHostKeyChecking no"
RUN echo "StrictHostKeyChecking no" >> /etc/ssh/ssh_config
# want "ENV GIT_SSH_COMMAND"
ENV GIT_SSH_COMMAND="ssh -o UserKnownHostsFile=/dev/null"
