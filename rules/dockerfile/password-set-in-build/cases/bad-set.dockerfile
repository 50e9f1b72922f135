FROM debian:12
# want "[\"chpasswd\"]"
RUN echo 'root:toor' | chpasswd
# want "passwd app"
RUN (echo x; echo x) | passwd app
# want "passwd -d root"
RUN passwd -d root
# want "useradd -m -p"
RUN useradd -m -p '$6$salt$hash' app
