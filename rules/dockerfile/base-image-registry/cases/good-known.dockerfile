FROM registry.k8s.io/pause:3.10 AS pause
FROM ghcr.io/example/app:1.0
FROM debian:12
