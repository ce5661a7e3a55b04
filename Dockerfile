# One image for every role, and for one-off commands: docker run IMAGE holdfast ...
# scripts/build-backend.sh builds it, with what a machine needs for that. The last stage is what operators run.
ARG BASE=debian:trixie-slim

# ---- ffmpeg changes seldom, so it stands alone -----------------------------------------------------------------------
FROM ${BASE} AS ffmpeg
ENV DEBIAN_FRONTEND=noninteractive
RUN sed -i 's/^Types: deb$/Types: deb deb-src/' /etc/apt/sources.list.d/debian.sources \
 && apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends dpkg-dev gcc libc6-dev make nasm pkg-config libdav1d-dev libmp3lame-dev \
    libopus-dev libvpx-dev libwebp-dev libx264-dev zlib1g-dev >/dev/null
COPY deploy/image/ffmpeg.sh /usr/local/sbin/
RUN sh /usr/local/sbin/ffmpeg.sh

# ---- Debian's Python, the libraries of ffmpeg, and the account -------------------------------------------------------
FROM ${BASE} AS system
# any other value builds all that follows anew, to compare it
ARG FRESH=1
ENV DEBIAN_FRONTEND=noninteractive
# The account has no password, no home and no shell, and the group root: any other uid of that group may take its place.
RUN --mount=type=bind,source=deploy/image,target=/mnt \
    apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends python3 ca-certificates libdav1d7 libmp3lame0 libopus0 libvpx9 libwebp7 \
    libwebpmux3 libx264-164 >/dev/null \
 && sh /mnt/tidy.sh \
 && echo 'appuser:x:10001:0:Holdfast:/nonexistent:/usr/sbin/nologin' >>/etc/passwd \
 && install -d -o 10001 -g 0 -m 0770 /workspace \
 && chmod 1777 /run

# ---- the locked dependencies -----------------------------------------------------------------------------------------
FROM system AS installed
ARG FRESH=1
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv binutils >/dev/null
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
COPY requirements.txt /tmp/
# Both secrets are optional: a bundle of authorities that this network needs, and a configuration of pip.
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    if [ -s /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi; \
    /opt/pip/bin/pip --python /opt/venv/bin/python3 install -q --no-cache-dir --no-compile --no-deps --only-binary :all: \
    --require-hashes -r /tmp/requirements.txt

# ---- what is needed of them, as bytecode too -------------------------------------------------------------------------
FROM installed AS packages
COPY deploy/image/packages.sh deploy/image/bytecode.sh /tmp/
RUN sh /tmp/packages.sh && sh /tmp/bytecode.sh

# ---- what runs needs no package manager, no Perl, no second shell ----------------------------------------------------
FROM system AS slim
RUN --mount=type=bind,source=deploy/image,target=/mnt python3 -B /mnt/slim.py

# ---- the application: its files belong to root, and nothing here can be written by it --------------------------------
FROM scratch AS runtime
ARG FRESH=1
COPY --from=slim / /
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    APP_ENV=production HOST=0.0.0.0 STATE_DIR=/run/holdfast RUN_DIR=/run/holdfast WORKSPACE_ROOT=/workspace
COPY --from=ffmpeg /opt/ffmpeg /opt/ffmpeg
COPY --from=packages /opt/venv /opt/venv
COPY deploy/image/supervisorctl.conf /opt/venv/etc/supervisord.conf
COPY deploy/image/holdfast /opt/venv/bin/
COPY supervisor /app/supervisor
COPY app /app/app
# Time zones are those of the locked dependencies, for all.
RUN ln -s /opt/ffmpeg/bin/ffmpeg /opt/ffmpeg/bin/ffprobe /usr/local/bin/ \
 && zones=$(python3 -c 'import tzdata; print(tzdata.__path__[0])') \
 && ln -s "$zones/zoneinfo" /usr/share/zoneinfo \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /app/app
WORKDIR /app
VOLUME /workspace
EXPOSE 8000
USER 10001:0
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["/usr/bin/python3", "-I", "-S", "/app/app/supervision/healthcheck.py"]
CMD ["holdfast", "run"]

# ---- for development: tests, checks and reload; mount the source over /app -------------------------------------------
FROM installed AS development-packages
COPY requirements-dev.txt /tmp/
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    if [ -s /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi; \
    /opt/pip/bin/pip --python /opt/venv/bin/python3 install -q --no-cache-dir --no-compile --no-deps --only-binary :all: \
    --require-hashes -r /tmp/requirements-dev.txt
COPY deploy/image/bytecode.sh /tmp/
RUN sh /tmp/bytecode.sh
# A server that tests kill and start again, with its libraries beside it: the image has few.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server >/dev/null \
 && install -D -t /opt/redis/lib $(ldd /usr/bin/redis-server | sed -n 's/.*=> \(.*\) (.*/\1/p') \
 && install /usr/bin/redis-server /opt/redis/lib/ \
 && printf '#!/bin/sh\nLD_LIBRARY_PATH=/opt/redis/lib exec /opt/redis/lib/redis-server "$@"\n' >/opt/redis/redis-server \
 && chmod 755 /opt/redis/redis-server

FROM runtime AS development
ENV APP_ENV=development PATH=$PATH:/opt/redis
COPY --from=development-packages /opt/redis /opt/redis
COPY --from=development-packages /opt/venv /opt/venv

# ---- the last stage is the default one -------------------------------------------------------------------------------
FROM runtime
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Holdfast" \
    org.opencontainers.image.description="HTTP API, workers and scheduler under one supervisor" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"
