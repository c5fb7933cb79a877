# The fake as a server, for local development and for suites in containers; see docs/deploy.md.
#   docker build -t fake-fine-tuning .
#   docker run --rm -p 127.0.0.1:4355:4355 fake-fine-tuning
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY client client
COPY fakeserver fakeserver
COPY pytest_plugin pytest_plugin
COPY cassettes cassettes
RUN python -m venv /opt/fake-fine-tuning \
 && /opt/fake-fine-tuning/bin/pip install --no-cache-dir --disable-pip-version-check ".[graders,fast,metrics,postgres]"

FROM python:3.13-slim
COPY --from=build /opt/fake-fine-tuning /opt/fake-fine-tuning
# All addresses: the container's own network decides who reaches it. Control (/_fake) takes a token there, if one is set.
ENV PATH=/opt/fake-fine-tuning/bin:$PATH \
    FAKE_FINE_TUNING_HOST=0.0.0.0 \
    FAKE_FINE_TUNING_PORT=4355 \
    FAKE_FINE_TUNING_LOG_FORMAT=json
USER 10001:10001
EXPOSE 4355
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=10s --retries=3 CMD ["fake-fine-tuning", "ready"]
ENTRYPOINT ["fake-fine-tuning"]
CMD ["serve", "--metrics"]
