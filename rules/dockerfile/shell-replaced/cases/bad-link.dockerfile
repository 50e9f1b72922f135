FROM debian:12
# want "ln -sf /bin/bash /bin/sh"
RUN rm /bin/sh && ln -sf /bin/bash /bin/sh
