FROM debian:12
# want "curl -fsS http://example.com/a"
RUN curl -fsS http://example.com/a | tar xz
# want "ADD http://example.com/b /b"
ADD http://example.com/b /b
# want "--index-url=http://pypi.example"
RUN pip install --index-url=http://pypi.example/simple flask
