# parley without cgo, and the certificates of authorities: nothing else is in the image.
#
#   docker build -t parley .
#   docker run -p 9090:9090 parley
#   docker run parley call NAME --server wss://call.example.org --video test --expect connected
ARG GO=golang:1.26
FROM ${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY peer/third_party peer/third_party
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/parley ./cmd/parley

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/parley /usr/bin/parley
USER 65532:65532
ENV PARLEY_SERVE_ADMIN=127.0.0.1:9091
EXPOSE 9090/tcp
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s CMD ["/usr/bin/parley", "doctor", "--health", "http://127.0.0.1:9091"]
ENTRYPOINT ["/usr/bin/parley"]
CMD ["serve"]
