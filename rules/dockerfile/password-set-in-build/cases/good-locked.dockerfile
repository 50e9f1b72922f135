FROM debian:12
RUN passwd -l root && useradd -r -p '*' app && cat /etc/passwd | grep passwd
