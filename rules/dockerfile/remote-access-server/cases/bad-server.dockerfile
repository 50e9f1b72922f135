FROM debian:12
# want "openssh-server"
RUN apt-get update && apt-get install -y curl openssh-server
# want "dropbear"
RUN apk add --no-cache dropbear=2024.86-r0
# want "sshd"
CMD ["/usr/sbin/sshd", "-D"]
