FROM alpine:3.22 AS bin-linux
FROM alpine:3.22 AS bin-darwin
FROM bin-${TARGETOS}
