# sluiced in a container: built in the first stage, run as nobody in particular in the second.
#
#   docker build -t sluice .
#   docker run -p 127.0.0.1:8080:8080 -v /srv/models:/models:ro sluice --model /models/m.gguf --allow-public
#
# Inside a container every address is "beyond loopback", hence --allow-public, which is safe as long
# as the port is published on 127.0.0.1 only. To serve others, mount a file of keys instead:
#   -p 8080:8080 -v /srv/api-keys:/run/api-keys:ro ... --api-key-file /run/api-keys
# Settings that the health check needs too (SLUICE_PORT) are best given with -e. `docker stop -t 90`
# leaves the drain its time. Runs with --read-only --cap-drop ALL --security-opt no-new-privileges.
FROM debian:12-slim AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends make
WORKDIR /sluice
COPY . .
RUN make -j"$(nproc)" install DESTDIR=/out PREFIX=/usr

FROM debian:12-slim
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends \
        libjansson4 libmicrohttpd12 libsystemd0 libutf8proc2 libxxhash0 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
COPY --from=build /out/usr/bin/sluiced /usr/bin/sluiced
ENV SLUICE_HOST=0.0.0.0 SLUICE_PORT=8080
EXPOSE 8080
USER 65532:65532
HEALTHCHECK --interval=15s --timeout=6s --start-period=5m --retries=3 CMD ["sluiced", "--health-check"]
ENTRYPOINT ["sluiced"]
