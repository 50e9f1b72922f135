FROM python:3.13
# want "pip install --no-cache-dir flask==3.0.3 requests"
RUN pip install --no-cache-dir flask==3.0.3 requests
# want "python3 -m pip install -U pip"
RUN python3 -m pip install -U pip
# want "npm install -g @scope/tool"
RUN npm install -g @scope/tool
# want "gem install rake"
RUN gem install rake
# want "go install example.com/tool@latest"
RUN go install example.com/tool@latest
