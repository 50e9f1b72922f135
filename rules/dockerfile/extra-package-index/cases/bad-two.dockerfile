FROM python:3.13
# want "--extra-index-url https://pypi.example/simple"
RUN pip install --extra-index-url https://pypi.example/simple acme-core==1.0
# want "ENV PIP_EXTRA_INDEX_URL"
ENV PIP_EXTRA_INDEX_URL=https://pypi.example/simple
