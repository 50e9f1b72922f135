# want "stages[0].user is \"\""
FROM scratch
COPY app /app
ONBUILD USER 1000
