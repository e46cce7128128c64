# docker build -f service.dockerfile -t upper . && docker run -p 8080:8080 upper
FROM denoland/deno:2.9.6
WORKDIR /srv/upper
COPY service.ts deno.json ./
RUN deno cache service.ts
USER deno
EXPOSE 8080 9090
ENV DENO_NO_UPDATE_CHECK=1
HEALTHCHECK CMD ["deno", "eval", "const { ok } = await fetch('http://127.0.0.1:9090/healthz'); Deno.exit(ok ? 0 : 1)"]
CMD ["run", "--no-prompt", "--cached-only", "--allow-net=0.0.0.0:8080,0.0.0.0:9090", "--allow-read=/srv/upper", "service.ts"]
