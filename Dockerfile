# The console, workers and every other command of aqe; see docs/deployment.md and compose.yml.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv /opt/aqe \
    && /opt/aqe/bin/python -m pip install --no-cache-dir --disable-pip-version-check '.[fleet,web,encryption,otel]'

FROM python:3.13-slim
# Examined projects may take their version from git, and requirements from repositories.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home aqe
COPY --from=build /opt/aqe /opt/aqe
COPY --chmod=755 docker/entrypoint.sh /usr/local/bin/aqe-entrypoint
ENV PATH=/opt/aqe/bin:$PATH
USER 10001
# What a volume is mounted on keeps its owner from here.
RUN mkdir -p /home/aqe/.cache /home/aqe/.local/state
WORKDIR /home/aqe
EXPOSE 8077
# Of a container that serves the console; compose.yml says what workers are asked.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8077/healthz', timeout=4)"]
ENTRYPOINT ["aqe-entrypoint"]
CMD ["serve", "--host", "0.0.0.0"]
