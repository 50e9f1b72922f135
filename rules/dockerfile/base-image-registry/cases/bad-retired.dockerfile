# want "is k8s.gcr.io/pause:3.9"
FROM k8s.gcr.io/pause:3.9 AS pause
# want "is docker.bintray.io/jfrog/artifactory-oss:7.10.2"
FROM docker.bintray.io/jfrog/artifactory-oss:7.10.2
