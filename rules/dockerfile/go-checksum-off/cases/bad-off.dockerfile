FROM golang:1.26
# want "ENV GOSUMDB=off"
ENV GOSUMDB=off
# want "GONOSUMDB=*"
RUN GONOSUMDB=* go build ./...
# want "go env -w GOPRIVATE=*"
RUN go env -w GOPRIVATE=*
