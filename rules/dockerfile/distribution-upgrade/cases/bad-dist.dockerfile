FROM debian:12
# want "apt-get -y dist-upgrade"
RUN apt-get update && apt-get -y dist-upgrade
# want "zypper --non-interactive dup"
RUN zypper --non-interactive dup
