# The service's image, for x86-64 with AVX2 (level v3: Intel since 2013, AMD since 2015). The set-up
# script is the one that `make test` and CI run.
#
# The bases are pinned by tag. Where images must be the same to the bit, pin the digest too:
#   docker buildx imagetools inspect python:3.11.14-slim-bookworm
# and write  python:3.11.14-slim-bookworm@sha256:...  in both places.

FROM --platform=linux/amd64 python:3.11.14-slim-bookworm AS build
WORKDIR /build
ENV PYTHON=/usr/local/bin/python3 PIP_NO_CACHE_DIR=1
# The packages change rarely and come first, so that a change of ours does not fetch them again.
COPY requirements.lock ./
COPY ops/setup.sh ops/
RUN bash ops/setup.sh packages requirements.lock /opt/evensky
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY schemas schemas
COPY stream stream
RUN bash ops/setup.sh project /opt/evensky \
    && /opt/evensky/bin/python -m compileall -q /opt/evensky/lib
# Machine code for any processor of that level, and not for the one that the image is built on.
ENV NUMBA_CPU_NAME=x86-64-v3 NUMBA_CPU_FEATURES="" NUMBA_CACHE_DIR=/opt/evensky/kernels
RUN bash ops/setup.sh warm /opt/evensky

FROM --platform=linux/amd64 python:3.11.14-slim-bookworm
COPY --from=build /opt/evensky /opt/evensky
RUN useradd --uid 10001 --create-home --home-dir /var/lib/evensky evensky \
    && install -d -o evensky -g evensky -m 700 /var/lib/evensky/spool
USER 10001
WORKDIR /var/lib/evensky
# In a container loopback is of no use to anybody: who may reach the port is the network's word.
ENV PATH=/opt/evensky/bin:$PATH PYTHONUNBUFFERED=1 EVENSKY_HTTP=0.0.0.0:9797
ENV NUMBA_CPU_NAME=x86-64-v3 NUMBA_CPU_FEATURES="" NUMBA_CACHE_DIR=/opt/evensky/kernels
# Within the volume, and so on a disk of the host. A scratch disk or a tmpfs may be mounted over it: a
# tmpfs takes memory, which the service counts at its start.
ENV EVENSKY_SPOOL_DIR=/var/lib/evensky/spool
EXPOSE 9797
VOLUME /var/lib/evensky
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9797/healthz', timeout=4)"]
ENTRYPOINT ["evensky"]
CMD ["run"]
