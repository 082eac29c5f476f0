# The image: one static program, the public certificate authorities and the licence, and nothing else: no shell,
# no package. `docker build .` compiles in a container. `make image` compiles on this machine, for two
# architectures, and stops at the stage `prebuilt`, which needs no base image; releases do the same.

FROM scratch AS frame
LABEL org.opencontainers.image.title="oubliette" \
      org.opencontainers.image.description="Kubernetes operator that keeps retention promises in existing databases" \
      org.opencontainers.image.source="https://github.com/oubliette-dev/oubliette" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number: without /etc/passwd that is how runAsNonRoot can be checked. The chart says the same.
USER 65532:65532
ENTRYPOINT ["/oubliette"]

FROM frame AS prebuilt
ARG TARGETARCH
COPY target/image/${TARGETARCH} /

# The compiler of rust-toolchain.toml. It runs on the builder's own architecture: zig links for the other one.
FROM --platform=${BUILDPLATFORM} docker.io/library/rust:1.95.0-bookworm AS compile
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
WORKDIR /source
COPY . .
ARG TARGETARCH
RUN deploy/image/compile "${TARGETARCH}" && mv "target/image/${TARGETARCH}" /image

FROM frame
COPY --from=compile /image /
