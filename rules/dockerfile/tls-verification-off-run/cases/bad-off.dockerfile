FROM python:3.13
# want "curl -fsSLk https://example.com/a"
RUN true && (curl -fsSLk https://example.com/a -o /a)
# want "wget --no-check-certificate"
RUN <<EOF
wget --no-check-certificate https://example.com
EOF
# want "--trusted-host=pypi.example"
RUN python3 -m pip install --trusted-host=pypi.example flask
# want "npm config set strict-ssl false"
RUN npm config set strict-ssl false
# want "git -c http.sslVerify=false clone"
RUN git -c http.sslVerify=false clone https://example.com/x.git
# want "GIT_SSL_NO_VERIFY=1 git clone"
RUN GIT_SSL_NO_VERIFY=1 git clone https://example.com/x.git
# want "export NODE_TLS_REJECT_UNAUTHORIZED=0"
RUN export NODE_TLS_REJECT_UNAUTHORIZED=0 && npm ci
# want "yum -y --setopt=sslverify=false"
RUN yum -y --setopt=sslverify=false update
# want "curl --insecure"
CMD curl --insecure https://example.com
