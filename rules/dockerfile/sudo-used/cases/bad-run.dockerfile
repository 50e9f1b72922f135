FROM debian:12
# want "sudo -E apt-get update"
RUN set -e; if true; then sudo -E apt-get update; fi
# want "[\"sudo id\"]"
RUN <<EOF
# comment
sudo id
EOF
# want "sudo in a build step"
RUN ["/usr/bin/sudo", "id"]
