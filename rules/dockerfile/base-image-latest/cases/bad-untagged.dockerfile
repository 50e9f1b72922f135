ARG BASE=registry.example:5000/team/app
# want "stages[0].base is registry.example:5000/team/app"
FROM ${BASE} AS one
# want "is ubuntu:latest"
FROM ubuntu:latest AS two
# want "is alpine"
FROM --platform=linux/amd64 alpine
