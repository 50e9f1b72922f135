FROM python:3.13
# want "[\"FLASK_DEBUG=1\"]"
ENV PATH=/app:$PATH FLASK_DEBUG=1
