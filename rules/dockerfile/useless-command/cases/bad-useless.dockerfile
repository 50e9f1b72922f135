FROM debian:12
# want "service mysql start"
RUN service mysql start && mysql < dump.sql
# want "ssh host ls"
RUN ssh host ls
