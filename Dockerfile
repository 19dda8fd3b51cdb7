# syntax=docker/dockerfile:1
# The worker, and the commands of starter.py. Dependencies come from the hashed lock, the browser from Debian.

FROM python:3.11-slim-bookworm AS dependencies
COPY requirements.lock /tmp/requirements.lock
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
        -r /tmp/requirements.lock
# The project itself: its entry points (channels, crawlers, probers) are found in its metadata.
COPY . /app
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check "hatchling>=1.33" \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation \
        --editable /app \
    && /opt/venv/bin/python -m compileall -q /app/precinto /app/workflows /app/activities

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium fonts-dejavu-core fonts-noto-core util-linux \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin precinto \
    && install --directory --owner precinto --group precinto --mode 0700 /var/lib/precinto
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=dependencies /app /app
COPY --chmod=0555 deploy/with-database.sh /usr/local/bin/with-database
ENV PATH="/opt/venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["with-database"]
CMD ["python", "worker.py"]
