FROM python:3.13
RUN pip install -r requirements.txt && pip3 install --index-url https://pypi.example/simple flask==3.0.3 "requests~=2.32"
RUN python -m pip install ./pkg git+https://github.com/example/x@0123456 && pip install --require-hashes foo
RUN npm ci && npm install && npm install -g pnpm@9.1.0 @scope/tool@1.2.3 && gem install rake:13.2.1 && gem install bundler -v 2.5.0
RUN go install example.com/tool@v1.2.3 && go install ./cmd/...
