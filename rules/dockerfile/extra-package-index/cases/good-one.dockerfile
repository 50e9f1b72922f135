FROM python:3.13
RUN pip install --index-url https://pypi.example/simple -r requirements.txt
RUN pip install --require-hashes --extra-index-url https://pypi.example/simple -r requirements.txt
