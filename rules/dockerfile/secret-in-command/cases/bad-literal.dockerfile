FROM debian:12
# want "app --token=***"
RUN app --token=abc123
# want "mysql --password ***"
RUN mysql --password hunter2 -e 'select 1'
# want "Bearer ***"
RUN curl -H "Authorization: Bearer abcdef123456" https://example.com
# want "export GITHUB_TOKEN=***"
RUN export GITHUB_TOKEN=abc123 && make
# want "aws configure set"
RUN aws configure set aws_secret_access_key abcdefghij
# want "--client-secret=***"
ENTRYPOINT ["/app", "--client-secret=s3cr3t"]
