# docker build -t clusterdns .
# docker run -p 53:53/udp -p 53:53/tcp -v "$PWD/config/example:/manifests:ro" clusterdns

ARG PYTHON=python:3.13-slim-trixie

FROM ${PYTHON} AS builder
WORKDIR /source
# The environment stands where it will run: its scripts name its interpreter by the whole path.
RUN python -m venv /opt/clusterdns
# Dependencies by themselves, so that a change of the code alone does not fetch them anew.
COPY pyproject.toml README.md LICENSE ./
RUN python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
      > requirements.txt \
    && /opt/clusterdns/bin/pip install --no-cache-dir --only-binary :all: --requirement requirements.txt
COPY clusterdns ./clusterdns
RUN /opt/clusterdns/bin/pip install --no-cache-dir --no-deps . \
    && /opt/clusterdns/bin/pip uninstall --yes pip \
    && /opt/clusterdns/bin/clusterdns --version

FROM ${PYTHON}
LABEL org.opencontainers.image.title="clusterdns" \
      org.opencontainers.image.description="The DNS server that gives a Kubernetes cluster its names" \
      org.opencontainers.image.licenses="Apache-2.0"
# Who is not root may open port 53 only through a capability of the program file, and that file is the interpreter.
# A pod that drops all capabilities must add NET_BIND_SERVICE again, or the interpreter does not start.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libcap2-bin \
    && setcap cap_net_bind_service=+ep "$(readlink -f "$(command -v python3)")" \
    && apt-get purge --yes --auto-remove libcap2-bin \
    && rm -rf /var/lib/apt/lists/*
COPY --from=builder /opt/clusterdns /opt/clusterdns
ENV PATH=/opt/clusterdns/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number: Kubernetes cannot tell of a name whether it is root (runAsNonRoot).
USER 65532:65532
EXPOSE 53/udp 53/tcp
# Asks for version.bind in class CHAOS: answered by the server itself, if only with REFUSED, whatever its zones are and
# however its upstreams fare. Kubernetes has probes of its own and ignores this.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.connect(('127.0.0.1', 53)); s.send(bytes.fromhex('636400000001000000000000') + b'\\x07version\\x04bind\\x00\\x00\\x10\\x00\\x03'); reply = s.recv(512); raise SystemExit(not (reply[:2] == b'cd' and reply[2] & 128))"]
ENTRYPOINT ["clusterdns"]
CMD ["serve", "--listen", "0.0.0.0:53", "--manifests", "/manifests"]
